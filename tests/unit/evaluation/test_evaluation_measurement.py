"""Asking and grading: seeds, bounds, what is kept, and what a failure leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, GradeRequest, GradeResult, TestResult, Verdict
from deepcoder_evaluation.answers import Answer, Outcome
from deepcoder_evaluation.chat import ChatEngine, EngineError
from deepcoder_evaluation.cutting import Cutter
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.grading import Grader
from deepcoder_evaluation.measurement import Measurement, sample_seed
from deepcoder_evaluation.records import Records
from deepcoder_sandbox.client import GradeUnavailableError, SandboxClient
from tests.unit.evaluation.evaluation_builders import evaluation_job, loaded, problem

PROGRAM = "```python\nprint({})\n```"


class Engine(ChatEngine):
    """Answers with the prompt's own program, or as `answers` says, after as many turns of the loop as are given."""

    def __init__(self, answers: dict[str, str] | None = None, turns: Sequence[int] = (0,)) -> None:
        self._answers = answers or {}
        self._turns = list(turns)
        self.most_at_once = 0
        self._now = 0
        self.asked: list[tuple[str, int]] = []

    async def ask(self, prompt: str, sampling: Any, seed: int) -> Answer:
        self.asked.append((prompt, seed))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        for _ in range(self._turns[seed % len(self._turns)] + 1):
            await asyncio.sleep(0)
        self._now -= 1
        text = self._answers.get(prompt, PROGRAM.format(1))
        if text == "fail":
            raise EngineError("the engine refused", retryable=False)
        return Answer(text, "stop", 3, 5, 0.1)


class Sandbox(SandboxClient):
    """Accepts print(1) and keeps what it was asked; a program with `unavailable` in it gets no grade."""

    def __init__(self) -> None:
        self.requests: list[GradeRequest] = []

    async def grade(self, suite: Any, program: str, **arguments: Any) -> GradeResult:
        await asyncio.sleep(0)
        if "unavailable" in program:
            raise GradeUnavailableError("no grade within 1 s")
        self.requests.append(
            GradeRequest(
                id=arguments["id"],
                problem_hash=suite.content_hash(),
                program=program,
                profile=arguments["profile"],
                limits=arguments["limits"],
            )
        )
        verdict = Verdict.ACCEPTED if "print(1)" in program else Verdict.WRONG_ANSWER
        return GradeResult(id=arguments["id"], verdict=verdict, tests=(TestResult(verdict=verdict),), tests_total=1)


async def measure(
    folder: Path,
    problems: Sequence[str],
    engine: Engine,
    sandbox: SandboxClient | None = None,
    samples: int = 1,
    in_flight: int = 64,
    profile: str = "strict",
) -> tuple[list[Outcome], list[Outcome]]:
    """The outcomes, and those that were told of meanwhile."""
    told: list[Outcome] = []
    sampling = {"temperature": 0.6, "maxTokens": 64, "samplesPerPrompt": samples, "seed": 5}
    job = evaluation_job(sampling=sampling, sandbox={"profile": profile}, maxInFlight=in_flight)
    records = Records(LocalFolder(folder))
    grader = Grader(sandbox or Sandbox(), Cutter(None), job.profile, job.limits, job.lengths)

    async def ready() -> Engine:
        return engine

    await records.open()
    measurement = Measurement(job, "model", ready, grader, records, told.extend)
    try:
        found = await measurement.measure([loaded([problem(id) for id in problems])])
    finally:
        records.close()
    return found["held-out"], told


@given(st.integers(0, 2**31 - 1), st.text(max_size=20), st.integers(0, 1000))
def test_a_seed_is_one_that_engines_take(seed: int, problem: str, sample: int) -> None:
    """0 to 2^31 - 1, and the same whenever it is asked for."""
    assert 0 <= sample_seed(seed, problem, sample) < 2**31
    assert sample_seed(seed, problem, sample) == sample_seed(seed, problem, sample)


def test_a_seed_depends_on_all_that_names_an_answer() -> None:
    """Seed, problem and sample each change it."""
    assert len({sample_seed(0, "a", 0), sample_seed(1, "a", 0), sample_seed(0, "b", 0), sample_seed(0, "a", 1)}) == 4


async def test_seeds_and_order_do_not_depend_on_what_else_is_asked_or_when_it_ends(tmp_path: Path) -> None:
    """One problem alone or among others, answered fast or slowly: the same seed, in the order of problems."""
    alone, many = Engine(), Engine(turns=[9, 0, 4])
    await measure(tmp_path / "alone", ["b"], alone)
    together, told = await measure(tmp_path / "many", ["a", "b", "c"], many, samples=2)
    assert [(one.problem, one.sample) for one in together] == [(p, s) for p in "abc" for s in (0, 1)]
    assert alone.asked == [("Solve b.", sample_seed(5, "b", 0))]
    assert set(alone.asked) < set(many.asked)
    assert sorted(told, key=lambda one: (one.problem, one.sample)) == together


async def test_an_answer_is_graded_against_its_own_problem_with_the_limits_of_the_specification(
    tmp_path: Path,
) -> None:
    """Suite by hash, profile, limits, and an id that names benchmark, problem, repeat and sample."""
    sandbox = Sandbox()
    (answer,), _ = await measure(tmp_path, ["a"], Engine(), sandbox, profile="lcb-v5")
    (request,) = sandbox.requests
    assert (answer.verdict, answer.test_verdicts) == (Verdict.ACCEPTED, ("accepted",))
    assert (request.id, request.profile) == ("held-out/a/0/0", "lcb-v5")
    assert request.limits.timeout_seconds == evaluation_job().limits.timeout_seconds


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("I do not know.", "holds no program"),
        (PROGRAM.format("'" + "x" * MAX_PROGRAM_CHARACTERS + "'"), "may be run"),
    ],
)
async def test_an_answer_without_a_program_that_can_be_run_has_none(text: str, detail: str, tmp_path: Path) -> None:
    """No block of code, or one longer than the protocol takes: the model's verdict, and no request of the sandbox."""
    sandbox = Sandbox()
    (answer,), _ = await measure(tmp_path, ["a"], Engine({"Solve a.": text}), sandbox)
    assert answer.verdict is Verdict.NO_PROGRAM
    assert detail in answer.detail
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [("fail", EngineError, "refused"), (PROGRAM.format("'unavailable'"), GradeUnavailableError, "no grade")],
)
async def test_one_answer_that_cannot_be_had_or_graded_ends_the_measurement(
    text: str, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    """As the error itself, not a group of them: a score over the rest would be another number."""
    with pytest.raises(kind, match=said):
        await measure(tmp_path, ["a", "b", "c"], Engine({"Solve b.": text, "Solve c.": text}))


async def test_what_was_under_way_when_something_failed_is_kept(tmp_path: Path) -> None:
    """Two are asked at once; one is refused: the other is finished and kept, and no third is begun."""
    engine = Engine({"Solve a.": "fail"}, turns=[5])
    with pytest.raises(EngineError):
        await measure(tmp_path, ["a", "b", "c", "d"], engine, in_flight=2)
    assert [prompt for prompt, _ in engine.asked] == ["Solve a.", "Solve b."]
    healed = Engine()
    outcomes, _ = await measure(tmp_path, ["a", "b", "c", "d"], healed)
    assert [prompt for prompt, _ in healed.asked] == ["Solve a.", "Solve c.", "Solve d."]
    assert all(one.accepted for one in outcomes)


async def test_an_answer_without_its_grade_is_graded_and_not_asked_again(tmp_path: Path) -> None:
    """Killed between the two: only the grade is missing."""
    await measure(tmp_path, ["a", "b"], Engine())
    for grade in (tmp_path / "grades").rglob("*.gz"):
        grade.unlink()
    engine, sandbox = Engine(), Sandbox()
    await measure(tmp_path, ["a", "b"], engine, sandbox)
    assert (len(engine.asked), len(sandbox.requests)) == (0, 2)


async def test_a_record_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    """Half a file, which a store may leave behind."""
    await measure(tmp_path, ["a", "b"], Engine())
    damaged = sorted((tmp_path / "answers").rglob("*.gz"))[0]
    damaged.write_bytes(damaged.read_bytes()[:40])
    engine = Engine()
    outcomes, _ = await measure(tmp_path, ["a", "b"], engine)
    assert len(engine.asked) == 1
    assert len(outcomes) == 2


async def test_no_more_than_the_bound_are_asked_at_once(tmp_path: Path) -> None:
    """A thousand answers do not make a thousand requests."""
    engine = Engine(turns=[3])
    answers, _ = await measure(tmp_path, [str(number) for number in range(50)], engine, in_flight=4)
    assert engine.most_at_once == 4
    assert len(answers) == 50


async def test_a_real_sandbox_client_never_takes_the_graders_own_failure_for_a_verdict(tmp_path: Path) -> None:
    """internal_error is asked for again until it is a grade."""
    verdicts = iter([Verdict.INTERNAL_ERROR, Verdict.INTERNAL_ERROR, Verdict.ACCEPTED])

    def server(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        return httpx.Response(200, content=GradeResult(id=asked["id"], verdict=next(verdicts)).model_dump_json())

    async with SandboxClient("http://sandbox:8100", transport=httpx.MockTransport(server)) as client:
        (answer,), _ = await measure(tmp_path, ["a"], Engine(), client)
    assert answer.verdict is Verdict.ACCEPTED
