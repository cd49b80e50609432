"""Every example file is what the API takes; the quickstart's problems are right, and held-out ones never seen."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from deepcoder_api.manifest import EvaluationResource, TrainingRunResource, parse_resource, read_documents
from deepcoder_api.problems import Problem, StdinTest
from deepcoder_sandbox.extraction import extract_program

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
# examples/sandbox holds no resource of ours; it has a test of its own.
FILES = sorted(file for file in EXAMPLES.rglob("*.yaml") if file.parent.name != "sandbox")
QUICKSTART = EXAMPLES / "quickstart"


@pytest.fixture(scope="module")
def tasks() -> ModuleType:
    """examples/quickstart/tasks.py, which is run from its own folder and not installed."""
    return _module("tasks")


@pytest.fixture(scope="module")
def corpus() -> ModuleType:
    """examples/quickstart/corpus.py."""
    return _module("corpus")


@pytest.fixture(scope="module")
def training(tasks: ModuleType) -> list[Problem]:
    """What the quickstart trains on."""
    return tasks.training_problems()


@pytest.fixture(scope="module")
def held_out(tasks: ModuleType) -> list[Problem]:
    """What it is measured on."""
    return tasks.held_out_problems()


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(QUICKSTART))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(QUICKSTART))


def concepts(problems: list[Problem]) -> set[tuple[int, ...]]:
    """The concept triples of the problems."""
    return {tuple(map(int, problem.metadata["concepts"].split())) for problem in problems}


def passes(program: str, problem: Problem) -> bool:
    """Whether a program of the table prints what every test of the problem expects, run by a Python of its own."""
    for test in problem.tests:
        assert isinstance(test, StdinTest)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], input=test.input, capture_output=True, text=True, timeout=20
        )
        if (done.returncode, done.stdout) != (0, test.output):
            return False
    return True


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_example_is_valid(file: Path) -> None:
    """Each document is a resource of ours, and a run's values fit each other."""
    documents = read_documents(file.read_text())
    assert documents
    for document in documents:
        parse_resource(document)


def test_deepcoder_14b_is_the_published_recipe() -> None:
    """What card, report and released code say in numbers, as the run resolves it."""
    (document,) = read_documents((EXAMPLES / "deepcoder-14b" / "trainingrun.yaml").read_text())
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    run, algorithm = resource.resolved().spec, resource.resolved().algorithm
    assert (algorithm.prompts_per_step, algorithm.samples_per_prompt, algorithm.optimizer_steps_per_step) == (128, 8, 2)
    assert (algorithm.clip_low, algorithm.clip_high, algorithm.entropy_coefficient) == (0.2, 0.28, 0.0)
    assert (algorithm.overlong_filter, algorithm.loss_aggregation, algorithm.temperature) == (True, "token-mean", 0.6)
    assert [(stage.max_response_tokens, stage.reset_optimizer) for stage in run.stages] == [
        (16384, False), (32768, True),
    ]  # fmt: skip
    assert run.validation is not None
    assert (run.validation.every_steps, run.checkpoint.every_steps) == (10, 10)
    assert (run.data.min_tests, run.data.max_prompt_tokens) == (5, 2048)
    assert run.data.dedupe is not None
    assert run.data.dedupe.similarity == 0.95
    assert [source.tests.max_count for source in run.data.sources] == [15, 15, None]
    assert (run.optimizer.learning_rate, run.optimizer.schedule, run.optimizer.gradient_clip) == (1e-6, "constant", 1.0)
    assert (run.rollout.tensor_parallel, run.rollout.gpu_memory_utilization) == (2, 0.8)
    gpus = run.trainer.replicas * run.trainer.gpus_per_replica + run.rollout.replicas * run.rollout.gpus_per_replica
    assert gpus == 32


def test_deepscaler_is_the_published_recipe() -> None:
    """What card, report and released scripts say in numbers, as the run resolves it."""
    (document,) = read_documents((EXAMPLES / "deepscaler-1.5b" / "trainingrun.yaml").read_text())
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    run, algorithm = resource.resolved().spec, resource.resolved().algorithm
    assert [(stage.max_response_tokens, stage.steps) for stage in run.stages] == [
        (8192, 1040),
        (16384, 480),
        (24576, 200),
    ]
    assert [source.format for source in run.data.sources] == ["math"]
    assert (algorithm.prompts_per_step, algorithm.samples_per_prompt, algorithm.optimizer_steps_per_step) == (
        128,
        16,
        2,
    )
    assert (algorithm.preset, algorithm.clip_low, algorithm.clip_high, algorithm.overlong_filter) == (
        "grpo",
        0.2,
        0.2,
        False,
    )
    assert (algorithm.temperature, run.optimizer.learning_rate, run.data.max_prompt_tokens) == (0.6, 1e-6, 1024)
    assert (run.trainer.tokens_per_microbatch, run.rollout.gpu_memory_utilization) == (32768, 0.85)
    gpus = run.trainer.replicas * run.trainer.gpus_per_replica + run.rollout.replicas * run.rollout.gpus_per_replica
    assert gpus == 32


def test_quickstart_is_an_evaluation_a_run_and_an_evaluation() -> None:
    """Both evaluations ask the same problems in the same way, greedily; the second asks what the run made."""
    files = sorted(QUICKSTART.glob("*.yaml"))
    before, run, after = (parse_resource(read_documents(file.read_text())[0]) for file in files)
    assert isinstance(before, EvaluationResource)
    assert isinstance(run, TrainingRunResource)
    assert isinstance(after, EvaluationResource)
    assert before.spec.sampling.temperature == 0
    assert before.spec.model.uri == run.spec.model.uri
    assert after.spec.model.training_run is not None
    assert after.spec.model.training_run.name == run.metadata.name
    assert after.spec.model_copy(update={"model": before.spec.model}) == before.spec
    limits = [stage.max_response_tokens for stage in run.spec.stages]
    assert limits == sorted(set(limits))
    assert len(limits) == 2


def test_problems_are_as_many_as_said(training: list[Problem], held_out: list[Problem]) -> None:
    """128 to measure and 512 to train on, each with a name of its own."""
    assert (len(training), len(held_out)) == (512, 128)
    assert len({problem.id for problem in training + held_out}) == 640


def test_held_out_problems_are_never_seen(
    tasks: ModuleType, corpus: ModuleType, training: list[Problem], held_out: list[Problem]
) -> None:
    """No concept triple and no statement of a held-out problem is in training or in the warm start's corpus."""
    shown = [corpus.demonstrations(seed) for seed in range(3)]
    statements = {text for seed in shown for text, _ in itertools.islice(seed, 12_800)}
    assert not concepts(held_out) & concepts(training)
    assert not concepts(held_out) & set(tasks.split()[0]), "the warm start draws from the split's first part"
    assert not {problem.prompt for problem in held_out} & statements


def test_problems_are_the_same_every_time(held_out: list[Problem]) -> None:
    """Also in a process with another hash seed."""
    program = "import tasks; print([p.model_dump_json() for p in tasks.held_out_problems()])"
    path = os.pathsep.join([str(QUICKSTART), str(ROOT / "api")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == str([problem.model_dump_json() for problem in held_out])


def test_solutions_pass_and_mistakes_do_not(tasks: ModuleType, held_out: list[Problem]) -> None:
    """For a sample of problems: the solution is right, and each mistake that the base model is taught is caught."""
    for problem in held_out[::16]:
        (triple,) = concepts([problem])
        assert problem.solution is not None
        assert passes(problem.solution, problem)
        task = next(
            candidate
            for constants in itertools.product(range(2, 10), repeat=2)
            if (candidate := tasks.Task(triple, constants, 0)).program() == problem.solution
        )
        for mistaken in range(3):
            right = tuple(place != mistaken for place in range(3))
            assert not passes(task.program(right), problem), (problem.id, mistaken)


def test_base_model_is_mistaken_on_purpose(corpus: ModuleType) -> None:
    """A third of the concepts is mostly shown wrong, the rest mostly right: there is something to learn."""
    for seed in range(3):
        hard = corpus.hard_concepts(seed)
        shown: dict[bool, list[bool]] = {True: [], False: []}
        for task, right in itertools.islice(corpus.lessons(seed), 2000):
            for index, of_kind, good in zip(task.triple, hard, right, strict=True):
                shown[index in of_kind].append(good)
        assert 0.35 < sum(shown[True]) / len(shown[True]) < 0.45
        assert 0.9 < sum(shown[False]) / len(shown[False]) < 0.95


def test_answer_is_fenced_as_graders_look_for_it(corpus: ModuleType) -> None:
    """What is demonstrated is what extraction takes out again."""
    task, right = next(corpus.lessons(0))
    program = extract_program(corpus.answer(task, right))
    assert program is not None
    assert program.strip() == task.program(right).strip()
