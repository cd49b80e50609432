"""Asking and grading a benchmark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, GradeRequest, GradeResult, TestResult, Verdict
from deepcoder_evaluation.answers import Answer, GradedAnswer
from deepcoder_evaluation.chat import ChatEngine, EngineError
from deepcoder_evaluation.measurement import Measurement, sample_seed
from deepcoder_sandbox.client import GradeUnavailableError, SandboxClient
from tests.unit.evaluation.evaluation_builders import BENCHMARK, evaluation_spec, problem

PROGRAM = "```python\nprint({})\n```"


class Engine(ChatEngine):
    """Answers with the prompt's own program, or as `answers` says, after as many turns of the loop as are given."""

    def __init__(self, answers: dict[str, str] | None = None, turns: Sequence[int] = (0,)) -> None:
        self._answers = answers or {}
        self._turns = list(turns)
        self.most_at_once = 0
        self._now = 0

    async def ask(self, prompt: str, sampling: Any, seed: int) -> Answer:
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
    problems: Sequence[str],
    engine: Engine,
    sandbox: Sandbox | None = None,
    samples: int = 1,
    in_flight: int = 64,
    profile: str = "strict",
) -> tuple[list[GradedAnswer], list[GradedAnswer]]:
    """The answers, and those that were told of meanwhile."""
    told: list[GradedAnswer] = []
    sampling = {"temperature": 0.6, "maxTokens": 64, "samplesPerPrompt": samples, "seed": 5}
    measurement = Measurement(
        evaluation_spec(sampling=sampling, sandbox={"profile": profile}),
        engine,
        sandbox or Sandbox(),
        told.append,
        in_flight=in_flight,
    )
    return await measurement.measure(BENCHMARK, [problem(id) for id in problems]), told


@given(st.integers(0, 2**31 - 1), st.text(max_size=20), st.integers(0, 1000))
def test_a_seed_is_one_that_engines_take(seed: int, problem: str, sample: int) -> None:
    """0 to 2^31 - 1, and the same whenever it is asked for."""
    assert 0 <= sample_seed(seed, problem, sample) < 2**31
    assert sample_seed(seed, problem, sample) == sample_seed(seed, problem, sample)


def test_a_seed_depends_on_all_that_names_an_answer() -> None:
    """Seed, problem and sample each change it."""
    assert len({sample_seed(0, "a", 0), sample_seed(1, "a", 0), sample_seed(0, "b", 0), sample_seed(0, "a", 1)}) == 4


async def test_seeds_and_order_do_not_depend_on_what_else_is_asked_or_when_it_ends() -> None:
    """One problem alone or among others, answered fast or slowly: the same seed, in the order of problems."""
    (alone,), _ = await measure(["b"], Engine())
    together, told = await measure(["a", "b", "c"], Engine(turns=[9, 0, 4]), samples=2)
    assert [(one.problem, one.sample) for one in together] == [(p, s) for p in "abc" for s in (0, 1)]
    assert together[2].seed == alone.seed == sample_seed(5, "b", 0)
    assert sorted(told, key=lambda one: (one.problem, one.sample)) == together


async def test_an_answer_is_graded_against_its_own_problem_with_the_limits_of_the_specification() -> None:
    """Suite by hash, profile, limits, and an id that names benchmark, problem and sample."""
    sandbox = Sandbox()
    (answer,), _ = await measure(["a"], Engine(), sandbox, profile="lcb-v5")
    (request,) = sandbox.requests
    assert (answer.verdict, answer.test_verdicts) == (Verdict.ACCEPTED, ("accepted",))
    assert (request.id, request.profile) == ("held-out/a/0", "lcb-v5")
    assert request.limits.timeout_seconds == evaluation_spec().sandbox.limits.timeout_seconds


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("I do not know.", "no fenced Python block"),
        (PROGRAM.format("'" + "x" * MAX_PROGRAM_CHARACTERS + "'"), "may be run"),
    ],
)
async def test_an_answer_without_a_program_that_can_be_run_has_none(text: str, detail: str) -> None:
    """No block of code, or one longer than the protocol takes: the model's verdict, and no request of the sandbox."""
    sandbox = Sandbox()
    (answer,), _ = await measure(["a"], Engine({"Solve a.": text}), sandbox)
    assert answer.verdict is Verdict.NO_PROGRAM
    assert detail in answer.detail
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [("fail", EngineError, "refused"), (PROGRAM.format("'unavailable'"), GradeUnavailableError, "no grade")],
)
async def test_one_answer_that_cannot_be_had_or_graded_ends_the_measurement(
    text: str, kind: type[Exception], said: str
) -> None:
    """As the error itself, not a group of them: a score over the rest would be another number."""
    with pytest.raises(kind, match=said):
        await measure(["a", "b", "c"], Engine({"Solve b.": text, "Solve c.": text}))


async def test_no_more_than_the_bound_are_asked_at_once() -> None:
    """A thousand answers do not make a thousand requests."""
    engine = Engine(turns=[3])
    answers, _ = await measure([str(number) for number in range(50)], engine, in_flight=4)
    assert engine.most_at_once == 4
    assert len(answers) == 50


async def test_a_real_sandbox_client_never_takes_the_graders_own_failure_for_a_verdict() -> None:
    """internal_error is asked for again until it is a grade."""
    verdicts = iter([Verdict.INTERNAL_ERROR, Verdict.INTERNAL_ERROR, Verdict.ACCEPTED])

    def server(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        return httpx.Response(200, content=GradeResult(id=asked["id"], verdict=next(verdicts)).model_dump_json())

    async with SandboxClient("http://sandbox:8100", transport=httpx.MockTransport(server)) as client:
        (answer,), _ = await measure(["a"], Engine(), client)  # type: ignore[arg-type]
    assert answer.verdict is Verdict.ACCEPTED
