"""The kill run's own parts: its schedule, what it hears, whom it strikes, and that its account finds what is wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.trainer_kills import targets
from benchmarks.trainer_kills.accounting import Evidence, Expected, StepDone, violations
from benchmarks.trainer_kills.faults import FAULTS, NothingToStrikeError, Scene
from benchmarks.trainer_kills.local_run import EndedError, LocalRun, Told
from benchmarks.trainer_kills.manifest import NAME, PROMPTS, SAMPLES, Shape, training_run
from benchmarks.trainer_kills.proxy import FaultyWay
from benchmarks.trainer_kills.report import SHOWN, Outcome, as_json, ending
from benchmarks.trainer_kills.rows import Row, draws, rows
from benchmarks.trainer_kills.scarce_disk import ScarceDisk
from benchmarks.trainer_kills.schedule import DELAY_STEPS, schedule, steps_for
from benchmarks.trainer_kills.strikes import Struck
from deepcoder_api.artifacts import Head
from deepcoder_api.manifest import TrainingRunResource, parse_resource
from deepcoder_trainer.orchestrator.cursor import Cursor
from deepcoder_trainer.orchestrator.resume import RunState

NAMES = [fault.name for fault in FAULTS]
EXPECTED = Expected(steps=5, prompts=2, samples=2, every_steps=2, keep_last=2)
CURSOR = Cursor([f"p{number}" for number in range(7)], seed=0)


def batch(step: int) -> list[Row]:
    """What step `step` trains on: two draws, two answers each of two tokens."""
    found = [CURSOR.draw(number) for number in range(2 * step - 2, 2 * step)]
    return [Row(draw.problem_id, draw.epoch, (1, 2), 0.0, "accepted") for draw in found for _ in range(2)]


def evidence(**changes: Any) -> Evidence:
    """A run of five steps with nothing wrong."""
    state = RunState(
        step=5, stage="long", policy_version=5, cursor=CURSOR.position(10), dataset="s3://d", prompts=10,
        answer_tokens=40, attempt=3,
    )  # fmt: skip
    right = Evidence(
        attempts=3,
        head=Head(attempt=3, checkpoint="s3://c", step=5),
        state=state,
        cursor=CURSOR,
        samples={step: batch(step) for step in range(1, 6)},
        journal={step: batch(step) for step in range(1, 6)},
        journal_left=[5],
        checkpoints=[4, 5],
        reported=[1, 2, 3, 4, 5],
        taken_up=[0, 2, 4],
        done=[StepDone(1, 0.5, 8), StepDone(3, 0.5, 8), StepDone(3, 0.5, 8)],
    )
    return dataclasses.replace(right, **changes)


def without(step: int) -> dict[int, list[Row]]:
    """All batches but one."""
    return {other: batch(other) for other in range(1, 6) if other != step}


def test_a_run_that_is_right_has_no_violation() -> None:
    """So that each of the others is found for its own sake."""
    assert violations(evidence(), EXPECTED) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"faults": ["a file is damaged"]}, "a file is damaged"),
        ({"samples": without(3)}, "samples: steps [3] are not there"),
        ({"samples": without(3)}, "dropped: "),
        ({"samples": without(3) | {3: batch(2)}}, "doubled: "),
        ({"samples": without(3) | {3: batch(6)}}, "out of order: "),
        ({"samples": without(3) | {3: batch(3)[1:]}}, "has 1 answers, not 2"),
        ({"reported": [1, 2, 3, 3, 4, 5]}, "report.json: steps [] are not there, [3] are there twice"),
        ({"reported": [1, 2, 4, 5]}, "report.json: steps [3] are not there"),
        ({"head": Head(attempt=2, checkpoint="s3://c", step=5)}, "head's attempt is 2, not 3"),
        ({"head": Head(attempt=3, checkpoint="s3://c", step=4)}, "head's step is 4, not 5"),
        ({"head": None}, "there is no head"),
        ({"journal": {2: batch(3)}}, "step 2: its samples are not those of its journal"),
        ({"journal_left": [3, 5]}, "the journal has the steps [3, 5] at the end, not [5]"),
        ({"checkpoints": [2, 4, 5]}, "complete checkpoints are of steps [2, 4, 5], not [4, 5]"),
        ({"taken_up": [0, 4, 2]}, "one went back"),
        ({"done": [StepDone(3, 0.5, 8), StepDone(3, 0.5, 9)]}, "step 3 was another when it was trained again"),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, Any], said: str) -> None:
    """Each by name."""
    assert any(said in line for line in violations(evidence(**changes), EXPECTED))


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompts", 9), ("answer_tokens", 39), ("policy_version", 4), ("replaced", 1), ("ahead", (11,)), ("step", 4)],
)
def test_a_state_that_does_not_add_up_is_told(field: str, value: object) -> None:
    """What the last checkpoint says of itself is held against what was trained on."""
    state = evidence().state
    assert state is not None
    (line,) = violations(evidence(state=state.model_copy(update={field: value})), EXPECTED)
    assert str(value) in line


def test_every_fault_strikes_once_a_round_at_moments_that_the_seed_decides() -> None:
    """Another seed is another order; the steps are enough for all."""
    planned = schedule(NAMES, 5, 0, 4)
    assert planned == schedule(NAMES, 5, 0, 4) != schedule(NAMES, 5, 1, 4)
    for start in range(0, len(planned), len(NAMES)):
        assert sorted(strike.fault for strike in planned[start : start + len(NAMES)]) == sorted(NAMES)
    assert Counter(strike.fault for strike in planned) == dict.fromkeys(NAMES, 5)
    assert all(0 <= strike.delay_steps < DELAY_STEPS for strike in planned)
    places = [strike.not_before for strike in planned]
    assert places == sorted(set(places))
    assert places[-1] + 4 <= steps_for(len(planned), 4)


def test_what_the_run_says_is_heard() -> None:
    """Its steps and attempts, the furthest of all attempts; not what a log that it quotes says."""
    told = Told("kills")
    lines = [
        "kills: training, attempt 1 (logs: /x)",
        "kills: running, step 1/9 (short), reward 0.5",
        "kills: running, step 3/9 (short)",
        "kills: attempt 1 failed and starts again: trainer failed: exit code -9; last lines:",
        '{"event": "step done", "step 8/9": 1}',
        "kills: training, attempt 2 (logs: /x)",
        "kills: running, step 2/9 (short)",
    ]
    for second, line in enumerate(lines):
        told.hear(line, float(second))
    assert (told.attempt, told.step, told.seconds_per_step) == (2, 3, 0.5)


async def test_a_run_is_followed_to_its_end() -> None:
    """A step that does not come before it is an error, not a wait without end."""
    run = LocalRun("kills")
    program = "print('kills: training, attempt 1 (x)'); print('kills: running, step 2/3 (x)'); raise SystemExit(3)"
    async with run.running([sys.executable, "-c", program], {}):
        await run.until(2, 1, 60)
        with pytest.raises(EndedError, match="exit code 3 at step 2"):
            await run.until(3, 1, 60)
        assert await run.end(60) == 3


async def test_a_run_that_goes_on_is_ended_with_us() -> None:
    """Nothing of it is left."""
    run = LocalRun("kills")
    async with run.running([sys.executable, "-c", "import time; time.sleep(600)"], {}):
        pid = run.pid
        with pytest.raises(TimeoutError):
            await run.until(1, 1, 0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_processes_are_told_apart_by_what_they_were_started_with() -> None:
    """A rank's torchrun names the rank's module too, and is none."""
    words = {
        "trainer": ["-m", "deepcoder_trainer.launch", "--replica-index", "1"],
        "torchrun": ["-m", "torch.distributed.run", "-m", "deepcoder_trainer.ranks"],
        "rank": ["-u", "-m", "deepcoder_trainer.ranks"],
        "agent": ["-m", "deepcoder_rollout.agent"],
        "sandbox": ["-m", "deepcoder_sandbox.server"],
    }
    program = f"""
import subprocess, sys
children = []
for words in {list(words.values())!r}:
    children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words]))
print("up", flush=True)
children[0].wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        running = targets.processes(parent.pid)
        (trainer,) = targets.trainers(running)
        assert trainer.after("--replica-index") == "1"
        assert trainer.after("--port") == ""
        assert [len(find(running)) for find in (targets.ranks, targets.rollouts, targets.sandboxes)] == [1, 1, 1]
        assert targets.kill_tree(parent.pid) == 6
    finally:
        parent.kill()
        parent.wait(10)
    assert targets.processes(parent.pid) == []


def test_the_run_is_one_that_validates() -> None:
    """Two trainers on CPU, every field of the shape."""
    document = training_run(
        Shape(steps=30, max_staleness=1, trainers=2, rollouts=1), Path("/base"), Path("/problems.jsonl")
    )
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    run = resource.resolved()
    assert (resource.metadata.name, run.total_steps, run.spec.trainer.ranks) == (NAME, 30, 2)
    assert (run.algorithm.prompts_per_step, run.algorithm.samples_per_prompt) == (PROMPTS, SAMPLES)
    assert run.algorithm.max_staleness == 1


def test_answers_are_read_from_either_file() -> None:
    """Journal and samples have these columns."""
    table = pa.table(
        {"problem": ["a", "a"], "epoch": [1, 1], "answer_ids": [[1], [2, 3]], "reward": [0.0, 1.0],
         "verdict": ["no_program", "accepted"], "beside": [1, 2]}
    )  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    found = rows(buffer.getvalue())
    assert found == [Row("a", 1, (1,), 0.0, "no_program"), Row("a", 1, (2, 3), 1.0, "accepted")]
    assert draws(found) == {("a", 1): 2}


def test_report_has_what_each_fault_cost() -> None:
    """Strikes, attempts and seconds by fault, and the account in numbers."""
    struck = [Struck("trainer", "SIGKILL", 3, 1, 20.0), Struck("trainer", "SIGKILL", 7, 1, 30.0)]
    written = as_json(Outcome(100.0, 3, 5, struck, evidence(), []), {"seed": 0})
    assert written["faults"]["trainer"]["strikes"] == written["faults"]["trainer"]["attempts"] == 2
    assert written["faults"]["trainer"]["seconds_to_recover"]["max"] == 30.0
    assert written["account"] == {
        "steps": 5, "prompts": 10, "answers": 20, "answer_tokens": 40, "verdicts": {"accepted": 20},
        "journal_entries_seen": 5, "steps_trained_again": 1,
    }  # fmt: skip
    assert ending([]).startswith("the right number of steps")
    assert ending([str(number) for number in range(SHOWN + 2)]).endswith("and 2 more, in the file")


@pytest.mark.parametrize("name", ["trainer", "rank", "rollout", "sandbox"])
def test_a_fault_that_finds_nothing_to_kill_says_so(name: str) -> None:
    """Rather than count as a strike: a process without children has none of these below it."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as lonely:
        scene = Scene(lonely.pid, FaultyWay("http://127.0.0.1:1"), ScarceDisk(Path("/nowhere"), mib=1), 0, 0, 0)
        with pytest.raises(NothingToStrikeError, match="to kill"):
            asyncio.run(_to_its_end(fault.strike(scene, random.Random(0))))
        lonely.kill()


async def _to_its_end(strike: Awaitable[str]) -> str:
    return await strike
