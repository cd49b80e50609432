"""Function tests: one process defines the program once and answers call after call; values are compared here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from deepcoder_api.grading import Limits, TestResult, Verdict
from deepcoder_api.problems import FunctionTest
from deepcoder_sandbox.answers import Answers
from deepcoder_sandbox.launcher import Launcher
from deepcoder_sandbox.plain_data import NotPlainDataError, encode_call, untag
from deepcoder_sandbox.program_run import ProgramRun, pump, started
from deepcoder_sandbox.sending_ahead import BYTES_AHEAD, to_send
from deepcoder_sandbox.verdicts import failure, one_line, result

ENDED = "the program ended before it answered"
# Between a program's last word and its end, when it closes its channel; a longer life counts as time.
GRACE_SECONDS = 0.5


class FunctionProgram:
    """A program whose entry point is called. Its process starts with the first call, anew after one that ends it.

    Arguments are sent ahead, so that the process need not wait for the grader between two calls.
    """

    def __init__(
        self,
        launcher: Launcher,
        program: str,
        entry_point: str | None,
        limits: Limits,
        answers: Answers,
        *,
        tests: Sequence[FunctionTest],
    ) -> None:
        """`tests`: what `run_test` will be called with, in this order."""
        self._launcher = launcher
        self._program = program
        self._entry_point = entry_point
        self._limits = limits
        self._answers = answers
        self._tests = tests
        self._called = self._sent = 0
        self._cpu_seconds = 0.0  # of the process, when it gave its last answer
        self._run: ProgramRun | None = None
        self.peak_memory_mib = 0.0

    def run_test(self, test: FunctionTest) -> TestResult:
        """The verdict on one call. The first also loads the program, on the same clock. Raises LauncherFailedError."""
        begun = time.monotonic()
        self._called += 1
        if self._run is None:
            self._run = load_program(self._launcher, self._program, self._entry_point, self._limits)
            self._sent = self._called - 1
            begun = self._run.begun
            if not self._await_frame(self._run, begun):
                return self._end()
            loaded = parse(self._run.channel.frames.pop(0))
            self._cpu_seconds = self._run.cpu_seconds()
            if "loaded" not in loaded:
                return self._refuse(loaded)
        return self._call(test, begun)

    def close(self) -> None:
        """End the program's process and take note of its peak memory. Raises LauncherFailedError."""
        if self._run is not None:
            run, self._run = self._run, None
            run.close()
            self.peak_memory_mib = run.memory_mib

    def _await_frame(self, run: ProgramRun, begun: float) -> bool:
        """Whether a frame has come in time."""
        deadline = begun + self._limits.timeout_seconds
        return pump([run], lambda: run.channel.answered, deadline) and bool(run.channel.frames)

    def _call(self, test: FunctionTest, begun: float) -> TestResult:
        assert self._run is not None
        run = self._run
        self._send_ahead(run)
        came_before = bool(run.channel.frames)
        if not self._await_frame(run, begun):
            return self._end()
        answer = parse(run.channel.frames.pop(0))
        cpu_before = self._cpu_seconds
        if not came_before:  # several answers that come at once have used what the first of them is said to
            self._cpu_seconds = run.cpu_seconds()
        wall, cpu = time.monotonic() - begun, max(0.0, self._cpu_seconds - cpu_before)
        verdict, detail = judge_answer(answer, lambda value: self._answers.value_objection(test, value))
        return TestResult(verdict=verdict, wall_seconds=wall, cpu_seconds=cpu, detail=one_line(detail))

    def _send_ahead(self, run: ProgramRun) -> None:
        """Send the arguments of the call that is due, and of some after it unless much still waits to be sent."""
        if self._sent >= self._called and run.channel.unsent_bytes > BYTES_AHEAD:
            return
        calls = to_send(self._tests, _arguments, begun=self._called, sent=self._sent)
        if calls:
            run.channel.send(*calls)
        self._sent += len(calls)

    def _refuse(self, loaded: dict[str, Any]) -> TestResult:
        """The program cannot even be defined: end it and say why."""
        assert self._run is not None
        run, self._run = self._run, None
        try:
            finished = run.finish(time.monotonic())
        finally:
            run.close()
        return result(*why_failed(loaded), finished)

    def _end(self) -> TestResult:
        """The program gave no answer: its process is over, or is ended now. The next test starts a new one."""
        assert self._run is not None
        run, self._run = self._run, None
        try:
            finished = run.finish(time.monotonic() + (GRACE_SECONDS if run.channel.ended else 0.0))
        finally:
            run.close()
        return result(*(failure(finished, self._limits) or (Verdict.RUNTIME_ERROR, ENDED)), finished)


def _arguments(test: FunctionTest) -> bytes:
    return encode_call(test.arguments)


def load_program(launcher: Launcher, program: str, entry_point: str | None, limits: Limits) -> ProgramRun:
    """A process that begins to define `program`; its first frame will say how that went. Raises LauncherFailedError."""
    task = {"program": program, "entry_point": entry_point}
    return started(launcher, "calls", task, limits, cpu_seconds=limits.timeout_seconds * 100)


def parse(frame: bytes) -> dict[str, Any]:
    """A frame of the program's, which may be anything, as a dict. What is no answer becomes {"not_plain": why}."""
    try:
        answer = json.loads(frame)
    except (ValueError, RecursionError) as error:
        return {"not_plain": f"gave malformed data: {error}"}
    return answer if isinstance(answer, dict) else {"not_plain": "gave malformed data"}


def judge_answer(answer: dict[str, Any], objection: Callable[[Any], str | None]) -> tuple[Verdict, str]:
    """The verdict on what a call gave, with one line for people; `objection` says why a value is not right."""
    if "value" not in answer:
        return why_failed(answer)
    try:
        actual = untag(answer["value"])
    except NotPlainDataError as error:
        return Verdict.WRONG_ANSWER, str(error)
    why = objection(actual)
    return (Verdict.ACCEPTED, "") if why is None else (Verdict.WRONG_ANSWER, why)


def why_failed(answer: dict[str, Any]) -> tuple[Verdict, str]:
    """The verdict on an answer where no value is due, or that has none, with one line for people: never accepted."""
    if "not_plain" in answer:
        return Verdict.WRONG_ANSWER, _said(answer["not_plain"])
    detail = raised_line(answer)
    return (Verdict.MEMORY_LIMIT if answer.get("raised") == "MemoryError" else Verdict.RUNTIME_ERROR), detail


def raised_line(answer: dict[str, Any]) -> str:
    """What the program raised, as one line."""
    line, name, text = (_said(answer.get(key)) for key in ("line", "name", "text"))
    return f"line {line or '?'}: {name or 'Exception'}: {text}"


def _said(value: Any) -> str:
    """A part of an answer for people. A program can forge any, also one too deep to be shown."""
    return str(value) if isinstance(value, str | int) else ""
