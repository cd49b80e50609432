"""An assertion test: the test's code runs in a judge process and calls the program, in its own, through plain data."""

from __future__ import annotations

import json
import time

from deepcoder_api.grading import Limits, TestResult, Verdict
from deepcoder_api.problems import AssertionTest
from deepcoder_sandbox.function_tests import GRACE_SECONDS, load_program, parse, why_failed
from deepcoder_sandbox.launcher import Launcher, LauncherFailedError
from deepcoder_sandbox.program_run import MIB, Finished, ProgramRun, pump
from deepcoder_sandbox.verdicts import failure, result

# The judge holds what the program returned and what the test made of it, both bounded by the program's own limits.
JUDGE_MEMORY_MIB = 512


def run_assertion_test(
    launcher: Launcher, program: str, entry_point: str | None, test: AssertionTest, limits: Limits
) -> TestResult:
    """The verdict on `program` by `test.code`. Program and check share one clock. Raises LauncherFailedError."""
    run = load_program(launcher, program, entry_point, limits)
    try:
        deadline = run.begun + limits.timeout_seconds
        channel = run.channel
        loaded = pump([run], lambda: channel.answered, deadline) and channel.frames
        if not loaded:
            return _failed(run, channel.ended, limits, "the program ended while it was defined")
        answer = parse(channel.frames.pop(0))
        if "loaded" not in answer:
            return result(*why_failed(answer), _end(run))
        report = _judge(launcher, run, test, limits, deadline)
        return _conclude(run, report, limits, deadline)
    finally:
        run.close()


def _judge(
    launcher: Launcher, run: ProgramRun, test: AssertionTest, limits: Limits, deadline: float
) -> dict[str, str] | None:
    """What the judge reports; None when time is up or the program was halted first."""
    bounds = limits.model_copy(update={"memory_mib": limits.memory_mib + JUDGE_MEMORY_MIB, "processes": 64})
    peer = run.channel.socket.dup()
    peer.setblocking(True)
    with peer:
        judge = ProgramRun(launcher.beside, "judge", bounds, cpu_seconds=limits.timeout_seconds, peer=peer)
    try:
        run.channel.hand_over()
        judge.load({"code": test.code, "max_bytes": limits.output_mib * MIB})
        channel = judge.channel
        pump([judge, run], lambda: channel.answered, deadline)
        if channel.frames:
            return json.loads(channel.frames.pop(0))
        if channel.ended and not run.stop:
            finished = judge.finish(deadline)
            raise LauncherFailedError(f"the judge ended without a report: status {finished.exit.status}")
        return None
    finally:
        judge.close()


def _conclude(run: ProgramRun, report: dict[str, str] | None, limits: Limits, deadline: float) -> TestResult:
    verdicts = {
        "passed": Verdict.ACCEPTED,
        "wrong": Verdict.WRONG_ANSWER,
        "broken": Verdict.WRONG_ANSWER,
        "raised": Verdict.RUNTIME_ERROR,
        "flooded": Verdict.OUTPUT_LIMIT,
    }
    if report is None:
        return _failed(run, False, limits, "")
    if report["verdict"] not in verdicts:
        return _failed(run, True, limits, report["detail"])
    finished = _end(run)
    verdict, detail = verdicts[report["verdict"]], report["detail"]
    if verdict is Verdict.RUNTIME_ERROR and detail.startswith("MemoryError"):
        verdict = Verdict.MEMORY_LIMIT
    if finished.exit.cpu_seconds > limits.timeout_seconds:
        verdict, detail = Verdict.TIME_LIMIT, f"{finished.exit.cpu_seconds:.1f} s of CPU time"
    return result(verdict, detail, finished)


def _end(run: ProgramRun) -> Finished:
    """End a program that is no longer needed; that it is killed now says nothing about it."""
    return run.finish(time.monotonic())


def _failed(run: ProgramRun, ended: bool, limits: Limits, detail: str) -> TestResult:
    """The program gave no answer that could be judged. `ended`: by what it said, not because time was up."""
    finished = run.finish(time.monotonic() + (GRACE_SECONDS if ended else 0.0))
    verdict, line = failure(finished, limits) or (Verdict.RUNTIME_ERROR, detail)
    return result(verdict, detail if detail and verdict is Verdict.RUNTIME_ERROR else line, finished)
