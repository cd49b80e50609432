"""From how a run ended to its verdict."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from deepcoder_api.grading import Limits, Verdict
from deepcoder_sandbox.launcher import Exit
from deepcoder_sandbox.program_module import EXIT_MEMORY
from deepcoder_sandbox.program_run import Finished, Stop
from deepcoder_sandbox.verdicts import failure, last_line, one_line, result

LIMITS = Limits(timeout_seconds=2, memory_mib=100, output_mib=1, processes=4)
GOOD = Finished(Exit(0, 0.5, 20.0, False), 0.6, None, b"1\n", b"")
TRACEBACK = b"Traceback (most recent call last):\n  File ...\nValueError: no\n\n"
CASES = {
    "ended well": (GOOD, None, ""),
    "wrote to stderr": (replace(GOOD, stderr=b"MemoryError: not really"), None, ""),
    "exit status": (replace(GOOD, exit=Exit(3 << 8, 0.5, 20, False)), Verdict.RUNTIME_ERROR, "exit status 3"),
    "traceback": (
        replace(GOOD, exit=Exit(1 << 8, 0, 20, False), stderr=TRACEBACK),
        Verdict.RUNTIME_ERROR,
        "ValueError",
    ),
    "signal": (replace(GOOD, exit=Exit(signal.SIGSEGV, 0.5, 20, False)), Verdict.RUNTIME_ERROR, "ended by SIGSEGV"),
    "signal without a name": (replace(GOOD, exit=Exit(35, 0.5, 20, False)), Verdict.RUNTIME_ERROR, "signal 35"),
    "signal near the memory bound": (
        replace(GOOD, exit=Exit(signal.SIGABRT, 0.5, 95, False)),
        Verdict.MEMORY_LIMIT,
        "more than 100 MiB",
    ),
    "MemoryError": (replace(GOOD, exit=Exit(EXIT_MEMORY << 8, 0.5, 20, False)), Verdict.MEMORY_LIMIT, "100 MiB"),
    "MemoryError of a child": (
        replace(GOOD, exit=Exit(1 << 8, 0.5, 20, False), stderr=b"numpy._core.ArrayMemoryError: MemoryError"),
        Verdict.MEMORY_LIMIT,
        "MemoryError",
    ),
    "peak above the bound": (replace(GOOD, exit=Exit(0, 0.5, 130, False)), Verdict.MEMORY_LIMIT, "130 MiB"),
    "CPU time": (replace(GOOD, exit=Exit(0, 2.5, 20, False)), Verdict.TIME_LIMIT, "2.5 s of CPU time"),
    "halted for time": (replace(GOOD, stop=Stop.TIME), Verdict.TIME_LIMIT, "more than 2 s"),
    "halted for output": (replace(GOOD, stop=Stop.OUTPUT), Verdict.OUTPUT_LIMIT, "more than 1 MiB of output"),
    "halted for memory": (replace(GOOD, stop=Stop.MEMORY), Verdict.MEMORY_LIMIT, "in all its processes"),
    "halted for processes": (replace(GOOD, stop=Stop.PROCESSES), Verdict.RUNTIME_ERROR, "more than 4 processes"),
    "halted for output, over time": (
        replace(GOOD, stop=Stop.OUTPUT, exit=Exit(signal.SIGKILL, 9, 20, True)),
        Verdict.OUTPUT_LIMIT,
        "output",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_end_of_a_run_has_its_verdict(name):
    """What was halted has the verdict of the bound, then what it used counts, then how it ended."""
    run, verdict, detail = CASES[name]
    failed = failure(run, LIMITS)
    if verdict is None:
        assert failed is None
    else:
        assert failed is not None
        assert failed[0] is verdict
        assert detail in failed[1]


def test_result_tells_what_was_used():
    """Wall and CPU seconds and peak memory come from the run."""
    given = result(Verdict.WRONG_ANSWER, "line 1\nof 2", GOOD)
    assert (given.wall_seconds, given.cpu_seconds, given.memory_mib, given.detail) == (0.6, 0.5, 20.0, "line 1 of 2")


def test_detail_is_one_bounded_line_of_valid_text():
    """Line ends, length, lone surrogates and what a terminal obeys are taken out."""
    assert one_line("a\n\n  b\tc") == "a b c"
    assert len(one_line("x" * 10_000)) == 400
    assert one_line("\ud800") == "?"
    assert one_line("\x1b[2J\x07ß") == "?[2J?ß"


def test_last_line_of_a_traceback_is_the_exception():
    """Empty lines at the end do not hide it, nor do bytes that are no text."""
    assert last_line(TRACEBACK) == "ValueError: no"
    assert last_line(b"") == ""
    assert last_line(b"\xff\n") == "\ufffd"
