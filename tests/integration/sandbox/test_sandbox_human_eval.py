"""The 164 problems of HumanEval, as published: their own solutions and empty ones, through a real server."""

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


async def test_no_empty_body_is_accepted(server, grade, problems):
    """A function that only says `pass` is a wrong answer to every problem. Under gVisor, every eighth is asked."""
    problems = problems[::8] if server.isolated else problems
    programs = [f"{one.program_prefix}    pass\n" for one in problems]
    suites = map(test_suite, problems)
    grades = await asyncio.gather(*(grade(suite, text, LIMITS) for suite, text in zip(suites, programs, strict=True)))
    odd = {
        one.id: (result.verdict.value, result.detail)
        for one, result in zip(problems, grades, strict=True)
        if result.verdict not in FAILING
    }
    assert odd == {}
