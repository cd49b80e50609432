"""The runs that are measured, TRL's settings for the same run, and what the long-tailed model is taught."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sandbox.report import percentile
from benchmarks.trainer import long_tail
from benchmarks.trainer.cores import Cores, pinned
from benchmarks.trainer.place import made
from benchmarks.trainer.runs import Shape, quickstart_run
from benchmarks.trainer.trl_settings import answers_at_once, rate_factor, rows, trl_arguments
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_sandbox.extraction import last_python_block
from deepcoder_trainer.algorithm.schedule import learning_rate


def run_of(**changes: object) -> ResolvedRun:
    shape = Shape("measured", **{"steps": 12, "seed": 3, **changes})  # type: ignore[arg-type]
    return quickstart_run(shape, base=Path("/base"), storage="s3://bench/runs", endpoint="http://s3")


def problems(count: int) -> dict[str, Problem]:
    tests = [{"kind": "stdin", "input": "1", "output": "1"}]
    return {
        f"p{number}": Problem.model_validate({"id": f"p{number}", "prompt": f"Solve {number}.", "tests": tests})
        for number in range(count)
    }


def test_run_is_the_quickstarts_with_what_the_shape_says() -> None:
    """Its batch, its sampling and its optimizer; one stage, the base model's files, no second try."""
    run = run_of(max_staleness=1, checkpoint_every=1, max_response_tokens=512)
    assert (run.algorithm.prompts_per_step, run.algorithm.samples_per_prompt, run.algorithm.max_staleness) == (16, 8, 1)
    assert (run.algorithm.seed, run.algorithm.temperature, run.total_steps) == (3, 1.0, 12)
    assert run.spec.stages[0].max_response_tokens == 512
    assert run.spec.model.uri == "file:///base/model"
    assert run.spec.data.sources[0].uri == "file:///base/training.jsonl"
    assert (run.spec.checkpoint.every_steps, run.spec.failure_policy.max_restarts) == (1, 0)
    assert run.uid != run_of().uid


def test_pinned_run_has_a_thread_for_each_part() -> None:
    """vLLM would bind its threads by itself, wherever it was started."""
    run = run_of(cores=Cores(generation=0, training=1))
    assert run.spec.trainer.pod.env == {"OMP_NUM_THREADS": "1"}
    assert run.spec.rollout.pod.env == {"VLLM_CPU_OMP_THREADS_BIND": "0", "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    assert run_of().spec.rollout.pod.env == {}


def test_trl_takes_as_many_answers_in_an_optimizer_step_and_a_batch(tmp_path: Path) -> None:
    """128 answers a batch and 64 an update; a forward pass holds no more tokens than our microbatch."""
    found = trl_arguments(run_of(), tmp_path)
    part, updates = found["per_device_train_batch_size"], found["gradient_accumulation_steps"]
    assert part * updates == 64
    assert part * found["steps_per_generation"] == 128
    assert part * (96 + 64) <= 4096
    assert (found["num_generations"], found["max_steps"]) == (8, 24)
    assert (found["loss_type"], found["epsilon"], found["epsilon_high"]) == ("dapo", 0.2, 0.28)
    assert (found["mask_truncated_completions"], found["vllm_importance_sampling_clip_max"]) == (True, 2.0)
    assert (found["temperature"], found["max_completion_length"], found["beta"]) == (1.0, 64, 0.0)


def test_trl_refuses_another_loss(tmp_path: Path) -> None:
    """What it would compute would not be ours."""
    with pytest.raises(ValueError, match="only grpo-plus"):
        trl_arguments(run_of(algorithm={"preset": "cispo"}), tmp_path)


@pytest.mark.parametrize(
    ("update", "longest", "tokens", "part"),
    [(64, 160, 4096, 16), (64, 64, 4096, 64), (6, 100, 350, 3), (7, 100, 50, 1)],
)
def test_answers_at_once_divide_the_update(update: int, longest: int, tokens: int, part: int) -> None:
    """The largest divisor that fits, or one."""
    assert answers_at_once(update, longest, tokens) == part


def test_trl_draws_the_problems_that_ours_draws() -> None:
    """Sixteen a step, each of 64 once an epoch, in an order of the seed's own."""
    found = rows(run_of(), problems(64))
    assert len(found) == 12 * 16
    drawn = [row["problem"] for row in found]
    assert sorted(drawn[:64]) == sorted(drawn[64:128]) == sorted(problems(64))
    assert drawn[:64] != drawn[64:128]
    assert found[0]["prompt"] == [{"role": "user", "content": f"Solve {drawn[0][1:]}."}]
    assert drawn != [row["problem"] for row in rows(run_of(seed=4), problems(64))]


def test_trl_has_our_learning_rate_in_each_update() -> None:
    """Two updates a step with the step's rate; after the last it is asked for once more."""
    run = run_of()
    rates = [rate_factor(run, update) * run.spec.optimizer.learning_rate for update in range(25)]
    ours = [learning_rate(step, 12, run.spec.optimizer) for step in range(1, 13)]
    assert rates[:24:2] == rates[1:24:2] == pytest.approx(ours)
    assert rates[24] == rates[23]


def test_tails_are_long() -> None:
    """Half of them are a few marks, one in a hundred some hundred; none is longer than the bound."""
    random_numbers = random.Random(0)
    lengths = [len(long_tail.tail(random_numbers)) for _ in range(20_000)]
    assert 3 <= percentile(lengths, 50) <= 20
    assert percentile(lengths, 99) > 10 * percentile(lengths, 50)
    assert max(lengths) == long_tail.LONGEST
    assert statistics.fmean(lengths) == pytest.approx(sum(one.mean * one.share for one in long_tail.RUNS), rel=0.2)


def test_long_answers_keep_their_program() -> None:
    """The demonstration as it was, in which the grader finds the same program, then a run of one mark."""
    fenced = "```python\nprint(1)\n```"
    for statement, answer in long_tail.long_demonstrations(iter([("statement", fenced)] * 50), random.Random(1)):
        marks = answer.removeprefix(f"{fenced}\n")
        assert statement == "statement"
        assert last_python_block(answer) == last_python_block(fenced) == "print(1)\n"
        assert len(set(marks)) == 1
        assert marks[0] in {one.mark for one in long_tail.RUNS}


def test_pinned_processes_stay_on_their_core() -> None:
    """And ours may go where it might before."""
    before = os.sched_getaffinity(0)
    core = min(before)
    command = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with pinned(core):
        inside = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert inside.strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == before


def test_what_is_made_is_made_once_and_whole(tmp_path: Path) -> None:
    """A second call finds it; what failed half way is not taken for it."""
    said: list[str] = []
    script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'model').write_text('made')"
    for _ in range(2):
        folder = made(tmp_path / "base-0", [sys.executable, "-c", script], said.append)
    assert (folder / "model").read_text() == "made"
    assert len(said) == 1
    with pytest.raises(subprocess.CalledProcessError):
        made(tmp_path / "base-1", [sys.executable, "-c", f"{script}; sys.exit(1)"], said.append)
    assert not (tmp_path / "base-1").exists()
