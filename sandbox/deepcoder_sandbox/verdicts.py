"""From how a run ended to its verdict and the one line that says why. Pure functions, no I/O."""

from __future__ import annotations

import os
import signal

from deepcoder_api.grading import MAX_STDERR_CHARACTERS, Limits, TestResult, Verdict
from deepcoder_sandbox.program_module import EXIT_MEMORY
from deepcoder_sandbox.program_run import PROCESS_BASE_MIB, Finished, Stop

DETAIL_CHARACTERS = 400
# A process that dies by a signal above this share of its memory bound died of it: C code seldom says so.
MEMORY_SHARE = 0.8


def failure(run: Finished, limits: Limits) -> tuple[Verdict, str] | None:
    """Why a run counts as failed before its answer is looked at, with one line for people; None when it may pass."""
    stopped = _stopped(run, limits)
    if stopped:
        return stopped
    if run.exit.status == 0:
        return None
    detail = last_line(run.stderr) or _describe(run.exit.status)
    code = os.waitstatus_to_exitcode(run.exit.status)
    died_of_memory = code < 0 and run.exit.memory_mib > MEMORY_SHARE * limits.memory_mib
    if code == EXIT_MEMORY or "MemoryError" in detail or died_of_memory:
        return Verdict.MEMORY_LIMIT, f"more than {limits.memory_mib} MiB: {detail}"
    return Verdict.RUNTIME_ERROR, detail


def _stopped(run: Finished, limits: Limits) -> tuple[Verdict, str] | None:
    match run.stop:
        case Stop.OUTPUT:
            return Verdict.OUTPUT_LIMIT, f"more than {limits.output_mib} MiB of output"
        case Stop.MEMORY:
            return Verdict.MEMORY_LIMIT, f"more than {limits.memory_mib} MiB in all its processes"
        case Stop.PROCESSES:
            return Verdict.RUNTIME_ERROR, f"more than {limits.processes} processes and threads"
        case Stop.TIME:
            return Verdict.TIME_LIMIT, f"more than {limits.timeout_seconds:g} s"
        case None:
            pass
    if run.exit.memory_mib > limits.memory_mib + PROCESS_BASE_MIB:
        return Verdict.MEMORY_LIMIT, f"{run.exit.memory_mib:.0f} MiB, more than {limits.memory_mib} MiB"
    if run.exit.cpu_seconds > limits.timeout_seconds:
        return Verdict.TIME_LIMIT, f"{run.exit.cpu_seconds:.1f} s of CPU time, more than {limits.timeout_seconds:g} s"
    return None


def result(verdict: Verdict, detail: str, run: Finished) -> TestResult:
    """A test's result with what the run used."""
    stderr = run.stderr.decode("utf-8", "replace")[-MAX_STDERR_CHARACTERS:] if verdict is Verdict.RUNTIME_ERROR else ""
    return TestResult(
        verdict=verdict,
        wall_seconds=run.wall_seconds,
        cpu_seconds=run.exit.cpu_seconds,
        memory_mib=run.exit.memory_mib,
        detail=one_line(detail),
        stderr=stderr,
    )


def one_line(text: str) -> str:
    """`text` as one line of bounded length, without what JSON cannot carry or a terminal obeys."""
    flat = " ".join(text.split())
    if len(flat) > DETAIL_CHARACTERS:
        flat = flat[: DETAIL_CHARACTERS - 1] + "…"
    return "".join(letter if letter.isprintable() else "?" for letter in flat)


def last_line(stderr: bytes) -> str:
    """The last line of standard error that says something; for a traceback, the exception."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"ended by signal {-code}"
