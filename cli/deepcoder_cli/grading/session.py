"""Answers against a grading server: each gets a report, whatever becomes of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from deepcoder_api.grading import GradeResult, Limits, Profile
from deepcoder_cli.grading.inputs import Answer, Inputs
from deepcoder_cli.grading.report import AnswerReport, graded, not_graded, without_program
from deepcoder_sandbox.client import GradeItem, SandboxClient
from deepcoder_sandbox.local import LocalSandbox

LOOK_SECONDS = 0.5
LEAST_DEADLINE_SECONDS = 600.0
MAX_ID_CHARACTERS = 512

Told = Callable[[AnswerReport], None]


@dataclass(frozen=True)
class Rules:
    """How answers are graded, and how many at once. `deadline_seconds` is the longest wait for one grade."""

    limits: Limits
    profile: Profile
    stop_on_first_failure: bool
    in_flight: int
    deadline_seconds: float


def longest_wait(inputs: Inputs, limits: Limits) -> float:
    """Seconds after which a grade is no longer waited for: a few programs that use up the time of all their tests."""
    longest = max((len(one.tests) * limits.of_suite(one).timeout_seconds for one in inputs.suites.values()), default=0)
    return max(LEAST_DEADLINE_SECONDS, 60.0 + 4 * longest)


async def grade_answers(
    client: SandboxClient, inputs: Inputs, rules: Rules, told: Told, sandbox: LocalSandbox | None = None
) -> list[AnswerReport]:
    """A report for each answer, in their order; `told` hears of each as it is ready.

    When the local `sandbox` ends by itself, what it has not graded is reported as not graded.
    """
    reports: dict[int, AnswerReport] = {}

    def note(place: int, report: AnswerReport) -> None:
        reports[place] = report
        told(report)

    grading = asyncio.create_task(_grade(client, inputs, rules, note))
    waited = {grading, *([asyncio.create_task(_ended(sandbox))] if sandbox else [])}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if grading.done():
            grading.result()
    finally:
        for task in waited:
            task.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
    for place, answer in enumerate(inputs.answers):
        if place not in reports:
            note(place, not_graded(answer, _tests(inputs, answer), "the local grading server ended by itself"))
    return [reports[place] for place in range(len(inputs.answers))]


async def _grade(
    client: SandboxClient, inputs: Inputs, rules: Rules, note: Callable[[int, AnswerReport], None]
) -> None:
    with_program: list[tuple[int, Answer]] = []
    for place, answer in enumerate(inputs.answers):
        if answer.program is None:
            note(place, without_program(answer, _tests(inputs, answer)))
        else:
            with_program.append((place, answer))
    items = (
        GradeItem(
            f"{answer.problem}#{answer.index}"[-MAX_ID_CHARACTERS:], inputs.suites[answer.problem], answer.program or ""
        )
        for _, answer in with_program
    )
    graded_many = client.grade_many(
        items,
        limits=rules.limits,
        deadline_seconds=rules.deadline_seconds,
        profile=rules.profile,
        stop_on_first_failure=rules.stop_on_first_failure,
    )
    async with aclosing(graded_many) as outcomes:
        async for number, outcome in outcomes:
            place, answer = with_program[number]
            if isinstance(outcome, GradeResult):
                note(place, graded(answer, outcome))
            else:
                note(place, not_graded(answer, _tests(inputs, answer), str(outcome)))


async def _ended(sandbox: LocalSandbox) -> None:
    while sandbox.running:  # noqa: ASYNC110 - it is a process, which nobody else waits for
        await asyncio.sleep(LOOK_SECONDS)


def _tests(inputs: Inputs, answer: Answer) -> int:
    return len(inputs.suites[answer.problem].tests)
