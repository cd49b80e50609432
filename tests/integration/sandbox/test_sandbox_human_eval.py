"""The 164 problems of HumanEval, as published: their own solutions and constant ones, through a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.problems import Problem, test_suite
from deepcoder_data.readers import read_file

HUMAN_EVAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "HumanEval.jsonl.gz"
LIMITS = Limits(timeout_seconds=30)
# What a body of `pass` comes to: None compares unequal, or the assertion code cannot work with it.
FAILING = {Verdict.WRONG_ANSWER}
CONSTANTS = ("True", "False", "0", "1", "[]", "''")

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    """All problems of the published file."""
    if not HUMAN_EVAL.exists():
        pytest.skip("the shared data folder is not beside the clone")
    found = [row for row in read_file(HUMAN_EVAL, str(HUMAN_EVAL), "humaneval") if isinstance(row, Problem)]
    assert len(found) == 164
    return found


async def test_every_canonical_solution_is_accepted(grade, problems):
    """The solution that HumanEval gives for a problem passes its check."""
    grades = await asyncio.gather(*(grade(test_suite(one), one.solution, LIMITS) for one in problems))
    failed = {one.id: result.detail for one, result in zip(problems, grades, strict=True) if not result.accepted}
    assert failed == {}


@pytest.mark.parametrize("body", ["pass", *(f"return {constant}" for constant in CONSTANTS)])
async def test_no_constant_is_accepted(server, grade, problems, body):
    """A function that does nothing, or gives one value whatever it is asked, is wrong for every problem: there is none
    for which a constant is right. Natively all 164 are asked; under gVisor all for `pass`, else every eighth."""
    asked = problems[::8] if server.isolated and body != "pass" else problems
    programs = [f"{one.program_prefix}    {body}\n" for one in asked]
    suites = map(test_suite, asked)
    grades = await asyncio.gather(*(grade(suite, text, LIMITS) for suite, text in zip(suites, programs, strict=True)))
    odd = {
        one.id: (result.verdict.value, result.detail)
        for one, result in zip(asked, grades, strict=True)
        if result.verdict not in FAILING
    }
    assert odd == {}
