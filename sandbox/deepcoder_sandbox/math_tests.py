"""A math test: the answer's value is compared in a process of its own, which may neither hang nor be exhausted."""

from __future__ import annotations

import json
import time

from deepcoder_api.grading import Limits, TestResult, Verdict
from deepcoder_api.problems import MAX_MATH_CHARACTERS, MathTest
from deepcoder_sandbox.comparators.difference import shorten
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.program_run import pump, started
from deepcoder_sandbox.verdicts import failure, result

# Of a comparison: what a program may use says nothing about it. 5 s are also what math-verify itself waits.
COMPARISON_LIMITS = Limits(timeout_seconds=5, memory_mib=512, output_mib=1, processes=1)


def run_math_test(launcher: Launcher, answer: str, test: MathTest) -> TestResult:
    """The verdict on `answer`. One that cannot be compared within the limits is not right. Raises LauncherFailedError.

    The process holds both values. No text is run in it: see `math_equality`.
    """
    if len(answer) > MAX_MATH_CHARACTERS:
        detail = f"{len(answer)} characters; a value has at most {MAX_MATH_CHARACTERS}"
        return TestResult(verdict=Verdict.WRONG_ANSWER, detail=detail)
    task = {"expected": test.expected, "answer": answer}
    limits = COMPARISON_LIMITS
    run = started(launcher.mathematical, "math", task, limits, cpu_seconds=limits.timeout_seconds)
    try:
        channel, deadline = run.channel, run.begun + limits.timeout_seconds
        answered = pump([run], lambda: channel.answered, deadline) and bool(channel.frames)
        finished = run.finish(time.monotonic() + 1.0 if channel.ended or answered else time.monotonic())
        if answered:
            right = json.loads(channel.frames.pop(0))["right"]
            detail = "" if right else f"expected {shorten(test.expected)}, got {shorten(answer)}"
            return result(Verdict.ACCEPTED if right else Verdict.WRONG_ANSWER, detail, finished)
        verdict, detail = failure(finished, limits) or (Verdict.RUNTIME_ERROR, "the comparison ended without a word")
        return result(verdict, f"the value cannot be compared: {detail}", finished)
    finally:
        run.close()
