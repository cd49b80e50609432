"""Slots, queue and what happens when a zygote fails, with real programs."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from prometheus_client import CollectorRegistry

from deepcoder_api.grading import GradeRequest, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.grading_pool import GradingPool, workers_for
from deepcoder_sandbox.grading_queue import QueueFullError
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


async def test_seconds_and_verdicts_are_counted(pool, registry):
    """By phase: what is not the programs' own time is the grader's."""

    def counted() -> dict[str, float]:
        found = {
            phase: registry.get_sample_value("deepcoder_sandbox_seconds_sum", {"phase": phase}) or 0.0
            for phase in ("queue", "grade", "programs", "grader")
        }
        verdict = {"verdict": "accepted"}
        return {**found, "accepted": registry.get_sample_value("deepcoder_sandbox_verdicts_total", verdict) or 0.0}

    before = counted()
    assert (await pool.grade(DOUBLING, request(SLOW))).accepted
    spent = {name: value - before[name] for name, value in counted().items()}
    assert spent["accepted"] == 1
    assert spent["programs"] >= 0.4
    assert spent["grade"] == pytest.approx(spent["programs"] + spent["grader"])
    assert spent["grader"] > 0


async def test_log_of_a_failure_does_not_quote_the_program(pool, monkeypatch):
    """An error of Python's own may hold a piece of what it met: its type and place are told, its text is not."""
    logged: list[dict[str, object]] = []
    monkeypatch.setattr("deepcoder_sandbox.grading_pool.log.warning", lambda event, **more: logged.append(more))
    monkeypatch.setattr("deepcoder_sandbox.grading_pool.grade", raising(ValueError("print('secret')")))
    await pool.grade(DOUBLING, request("print('secret')"))
    assert [entry["error"] for entry in logged] == ["ValueError"] * 2
    assert "test_sandbox_grading_pool.py" in str(logged[0]["at"])
    assert "secret" not in str(logged)


async def test_end_of_the_pool_ends_what_still_runs(tmp_path):
    """Its caller has its answer by then; a program of minutes does not hold up the end."""
    pool = GradingPool(workers=1, queue_size=1, scratch=tmp_path, registry=CollectorRegistry())
    pool.start()
    asked = [
        asyncio.create_task(pool.grade(DOUBLING, request(f"import time\ntime.sleep({seconds})")))
        for seconds in (19, 18)
    ]
    await asyncio.sleep(0.2)
    begun = time.monotonic()
    assert not await pool.drain(0.1)
    assert [(await one).verdict for one in asked] == [Verdict.INTERNAL_ERROR] * 2
    await asyncio.to_thread(pool.close)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("cores", "memory_mib", "workers"), [(2, 4096, 2), (64, 4096, 5), (8, 500, 1), (1, 10**6, 1), (16, 16 * 768, 16)]
)
def test_as_many_workers_as_cores_and_memory_allow(cores, memory_mib, workers):
    """A pod of 4 GiB on a node of 64 cores must not run 64 programs of half a GiB."""
    assert workers_for(cores, memory_mib) == workers
