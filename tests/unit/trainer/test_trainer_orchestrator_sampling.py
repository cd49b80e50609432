"""A step's samples: prompts, seeds, grades and advantages put together; and what is not a grade."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, GradeRequest, GradeResult, TestResult, Verdict
from deepcoder_api.presets import DAPO, DR_GRPO, GRPO_PLUS
from deepcoder_api.problems import Problem
from deepcoder_api.specification import SandboxSpec
from deepcoder_sandbox.client import GradeRefusedError, GradeUnavailableError, SandboxClient
from deepcoder_trainer.orchestrator.cursor import Draw, sample_seed
from deepcoder_trainer.orchestrator.failures import (
    GenerationFailed,
    GradingFailed,
    NoRollout,
    RequestRefused,
    RunChanged,
    TakenOver,
    first_failure,
)
from deepcoder_trainer.orchestrator.generation import Answer, Generator, Place, Question
from deepcoder_trainer.orchestrator.grading import Graded, Grader
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.prompts import Prompt, PromptRenderer
from deepcoder_trainer.orchestrator.sampling import Sampler, batch_of
from tests.orchestrator_builders import stage
from tests.tiny_models import write_tokenizer

ALGORITHM = GRPO_PLUS.model_copy(update={"samples_per_prompt": 3, "seed": 5, "temperature": 0.6})
STAGE = stage(limit=64, algorithm=ALGORITHM)


def problem(id: str) -> Problem:
    tests = [{"kind": "stdin", "input": id, "output": "1"}]
    return Problem.model_validate({"id": id, "prompt": f"Solve {id}.", "tests": tests})


class Answers(Generator):
    """Answers with the question's own id; sample 1 of every group fails when `failing` is given."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.questions: list[Question] = []
        self.places: list[int] = []
        self._failing = failing

    @contextlib.asynccontextmanager
    async def place(self, samples: int) -> AsyncIterator[Place]:
        self.places.append(samples)
        yield Place(None, samples)  # type: ignore[arg-type]

    async def ask(self, question: Question, place: Place) -> Answer:
        self.questions.append(question)
        await asyncio.sleep(0)
        if self._failing is not None and question.id.endswith("/1"):
            raise self._failing
        return Answer(f"answer {question.id}", (7, 2), (-0.5, -0.25), (3, 4), "stop")


class Grades(Grader):
    """Sample 0 of every group is right, the others wrong; the earlier a group was drawn the later it is graded."""

    def __init__(self) -> None:
        self.graded: list[tuple[str, str, str]] = []

    async def grade(self, problem: Problem, answer: str, id: str, priority: int = 0) -> Graded:
        for _ in range(10 if problem.id == "a" else 0):
            await asyncio.sleep(0)
        self.graded.append((problem.id, answer, id))
        right = id.endswith("/0")
        verdict = Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER
        return Graded(verdict, (verdict,), float(right))


def sampler(generator: Generator, grader: Grader) -> Sampler:
    return Sampler(
        problems={id: problem(id) for id in "ab"}, prompt_of=lambda statement: Prompt(f"<{statement}>", (1, 2)),
        generator=generator, grader=grader, metrics=RunMetrics(),
    )  # fmt: skip


async def test_a_batch_has_its_groups_in_order_with_seeds_grades_and_advantages() -> None:
    """Three samples a problem, each with its own seed and grade; 1 0 0 gives (2/3)/std and (-1/3)/std twice."""
    answers, grades = Answers(), Grades()
    one = sampler(answers, grades)
    samples = batch_of(await asyncio.gather(one.group(Draw("a", 2), STAGE), one.group(Draw("b", 0), STAGE)))
    assert [(one.problem_id, one.group, one.epoch) for one in samples] == [("a", 0, 2)] * 3 + [("b", 1, 0)] * 3
    asked = {question.id: question for question in answers.questions}
    assert asked["a/2/1"] == Question("a/2/1", (1, 2), 64, 0.6, sample_seed(5, "a", 2, 1))
    assert len({question.seed for question in answers.questions}) == 6
    assert answers.places == [3, 3]
    assert ("b", "answer b/0/2", "b/0/2") in grades.graded
    assert [one.reward for one in samples] == [1, 0, 0] * 2
    std = 1 / 3**0.5  # of 1 0 0, divided by n - 1
    assert [one.advantage for one in samples[:3]] == pytest.approx([2 / 3 / std, -1 / 3 / std, -1 / 3 / std], rel=1e-5)
    first = samples[0]
    assert (first.prompt, first.answer, first.prompt_ids) == ("<Solve a.>", "answer a/2/0", (1, 2))
    assert (first.answer_ids, first.log_probabilities, first.versions) == ((7, 2), (-0.5, -0.25), (3, 4))
    assert (first.verdict, first.test_verdicts, first.finish_reason) == (Verdict.ACCEPTED, (Verdict.ACCEPTED,), "stop")


async def test_the_algorithm_decides_the_advantages_and_leaves_the_rewards() -> None:
    """Two tokens each at a limit of two: dapo punishes all alike, and rewards stay 1 0 0; dr-grpo only centers."""
    for preset, expected in ((DAPO, [2 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5]), (DR_GRPO, [2 / 3, -1 / 3, -1 / 3])):
        algorithm = preset.model_copy(update={"samples_per_prompt": 3})
        samples = await sampler(Answers(), Grades()).group(Draw("b", 0), stage(limit=2, algorithm=algorithm))
        assert [one.advantage for one in samples] == pytest.approx(expected, rel=1e-5)
        assert [one.reward for one in samples] == [1, 0, 0]


async def test_an_answer_near_the_limit_is_punished_in_its_stage() -> None:
    """Two tokens at a limit of two: the punishment takes away what the right answer earned, and nothing is better."""
    algorithm = DAPO.model_copy(update={"samples_per_prompt": 3, "overlong_factor": 1.0, "advantage": "centered"})
    lengths = iter([(7, 2), (7,), (7,)])

    class Uneven(Answers):
        async def ask(self, question: Question, place: Place) -> Answer:
            ids = next(lengths)
            return Answer(f"answer {question.id}", ids, (-0.5,) * len(ids), (4,) * len(ids), "stop")

    samples = await sampler(Uneven(), Grades()).group(Draw("b", 0), stage(limit=2, algorithm=algorithm))
    assert [one.advantage for one in samples] == pytest.approx([0, 0, 0], abs=1e-12)


async def test_a_group_has_the_samples_and_the_temperature_of_its_stage() -> None:
    """Two samples at 0.9 and a limit of 7, whatever other stages have."""
    answers = Answers()
    hot = ALGORITHM.model_copy(update={"samples_per_prompt": 2, "temperature": 0.9})
    samples = await sampler(answers, Grades()).group(Draw("a", 0), stage(limit=7, algorithm=hot))
    assert (len(samples), answers.places) == (2, [2])
    assert {(question.max_tokens, question.temperature) for question in answers.questions} == {(7, 0.9)}


async def test_a_sample_that_cannot_be_had_fails_its_group_as_itself() -> None:
    """No sample is left out: the failure is not a group of them."""
    with pytest.raises(GenerationFailed, match="no server"):
        await sampler(Answers(GenerationFailed("no server")), Grades()).group(Draw("a", 0), STAGE)


def test_the_failure_that_explains_the_others_is_told() -> None:
    """A permanent one before one that may heal, one of ours before a fault of the code, however deep it lies."""
    inner = BaseExceptionGroup("", [NoRollout("none"), ValueError("fault")])
    assert isinstance(first_failure(BaseExceptionGroup("", [inner, TakenOver("newer")])), TakenOver)
    assert isinstance(first_failure(BaseExceptionGroup("", [ValueError("fault"), inner])), NoRollout)
    assert isinstance(first_failure(ValueError("fault")), ValueError)


class Sandbox(SandboxClient):
    """Gives the outcome it was made with, and keeps the requests in the protocol's own form."""

    def __init__(self, outcome: Verdict | Exception) -> None:
        self.requests: list[GradeRequest] = []
        self._outcome = outcome

    async def grade(self, suite: Any, program: str, **arguments: Any) -> GradeResult:
        self.requests.append(
            GradeRequest(
                id=arguments["id"],
                problem_hash=suite.content_hash(),
                program=program,
                profile=arguments["profile"],
                limits=arguments["limits"],
            )
        )
        if isinstance(self._outcome, Exception):
            raise self._outcome
        tests = (TestResult(verdict=Verdict.ACCEPTED), TestResult(verdict=self._outcome))
        return GradeResult(id=arguments["id"], verdict=self._outcome, tests=tests, tests_total=3, detail="why")


async def graded(sandbox: Sandbox, answer: str = "```python\nprint(1)\n```", id: str = "a/0/0") -> Graded:
    grading = SandboxSpec.model_validate({"profile": "lcb-v5", "limits": {"timeoutSeconds": 2, "memoryMiB": 64}})
    return await Grader(sandbox, grading).grade(problem("a"), answer, id)


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.INTERNAL_ERROR, Verdict.NO_PROGRAM)])
async def test_only_an_accepted_program_is_worth_one(verdict: Verdict) -> None:
    """Everything else is worth nothing, however many tests passed."""
    sandbox = Sandbox(verdict)
    found = await graded(sandbox)
    assert found == Graded(verdict, (Verdict.ACCEPTED, verdict), 1.0 if verdict is Verdict.ACCEPTED else 0.0)
    assert (sandbox.requests[0].limits.timeout_seconds, sandbox.requests[0].limits.memory_mib) == (2, 64)
    assert (sandbox.requests[0].program, sandbox.requests[0].profile) == ("print(1)\n", "lcb-v5")


@pytest.mark.parametrize("answer", ["I do not know.", f"```python\n{'x' * (MAX_PROGRAM_CHARACTERS + 1)}\n```"])
async def test_an_answer_without_a_program_that_can_be_run_is_worth_nothing(answer: str) -> None:
    """And no sandbox is asked."""
    sandbox = Sandbox(Verdict.ACCEPTED)
    assert await graded(sandbox, answer) == Graded(Verdict.NO_PROGRAM, (), 0.0)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (GradeUnavailableError("no grade within 1 s"), GradingFailed),
        (GradeRefusedError("malformed"), RequestRefused),
        (Verdict.INTERNAL_ERROR, GradingFailed),
    ],
)
async def test_no_grade_is_never_a_wrong_one(outcome: Verdict | Exception, kind: type[Exception]) -> None:
    """An absent, refusing or failing grader ends the step instead of teaching the model."""
    with pytest.raises(kind):
        await graded(Sandbox(outcome))


async def test_an_id_of_any_length_fits_the_protocol() -> None:
    """A problem's own id may have all the characters that the protocol has for an answer's."""
    sandbox = Sandbox(Verdict.ACCEPTED)
    await graded(sandbox, id="x" * 512 + "/0/1")
    assert sandbox.requests[0].id.endswith("x/0/1")


def test_a_prompt_is_the_templates_text_and_its_tokens(tmp_path: Path) -> None:
    """One user turn, opened for the answer, no system prompt; the template's special tokens are single tokens."""
    write_tokenizer(tmp_path)
    prompt = PromptRenderer(tmp_path)("Add 1.")
    assert prompt.text == "<|im_start|>user\nAdd 1.<|im_end|>\n<|im_start|>assistant\n"
    assert prompt.ids[0] == 1
    assert prompt.ids.count(1) == 2
    assert prompt.ids.count(2) == 1
    assert len(prompt.ids) == len("user\nAdd 1.\nassistant\n") + 3


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    """It could not be asked as it will be asked later."""
    write_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(RunChanged, match="no chat template"):
        PromptRenderer(tmp_path)
