"""Slots, queue and what happens when a zygote fails, with real programs."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from deepcoder_api.grading import GradeRequest, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.grading_pool import QueueFullError, workers_for
from deepcoder_sandbox.launcher import LauncherFailedError

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
SLOW = "import time\ntime.sleep(0.4)\nprint(2 * int(input()))"


def request(program: str) -> GradeRequest:
    """A request for `program`."""
    return GradeRequest(
        id="a", problem_hash=DOUBLING.content_hash(), program=program, limits=Limits(timeout_seconds=20)
    )


async def test_more_than_may_wait_is_refused(pool):
    """One runs, one waits, the third is told when to come back; the two are graded none the less."""
    accepted = [asyncio.create_task(pool.grade(DOUBLING, request(SLOW))) for _ in range(2)]
    await asyncio.sleep(0)
    assert pool.in_flight == 2
    with pytest.raises(QueueFullError) as full:
        await pool.grade(DOUBLING, request(SLOW))
    assert 1 <= full.value.retry_after <= 30
    assert [(await one).accepted for one in accepted] == [True, True]
    assert pool.in_flight == 0


async def test_killed_zygote_is_replaced_and_the_program_graded(pool, registry):
    """The death of the grader's own process is not the program's failure."""
    before = registry.get_sample_value("deepcoder_sandbox_zygote_restarts_total")
    os.kill(pool.run(lambda launcher: launcher.pids[0]), signal.SIGKILL)
    result = await pool.grade(DOUBLING, request("print(2 * int(input()))"))
    assert result.accepted, result
    assert registry.get_sample_value("deepcoder_sandbox_zygote_restarts_total") == before + 1


async def test_grader_that_fails_again_is_an_internal_error(pool, monkeypatch):
    """Whatever a fault of ours raises, it is never a verdict on the program."""
    for error in (LauncherFailedError("no fork"), ValueError("ours")):
        with monkeypatch.context() as patch:
            patch.setattr("deepcoder_sandbox.grading_pool.grade", raising(error))
            result = await pool.grade(DOUBLING, request("print(14)"))
        assert result.verdict is Verdict.INTERNAL_ERROR
        assert str(error) in result.detail
    assert (await pool.grade(DOUBLING, request("print(14)"))).accepted


def raising(error: Exception):
    """A function that raises `error`."""

    def fail(*arguments: object) -> None:
        raise error

    return fail


async def test_empty_program_is_no_program(pool):
    """White space is not run."""
    assert (await pool.grade(DOUBLING, request(" \n"))).verdict is Verdict.NO_PROGRAM


@pytest.mark.parametrize(
    ("cores", "memory_mib", "workers"), [(2, 4096, 2), (64, 4096, 5), (8, 500, 1), (1, 10**6, 1), (16, 16 * 768, 16)]
)
def test_as_many_workers_as_cores_and_memory_allow(cores, memory_mib, workers):
    """A pod of 4 GiB on a node of 64 cores must not run 64 programs of half a GiB."""
    assert workers_for(cores, memory_mib) == workers
