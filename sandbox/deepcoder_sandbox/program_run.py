"""One run of a program in a forked process, seen from the server: its streams moved, its bounds watched, its end."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from deepcoder_api.grading import Limits
from deepcoder_sandbox.launcher import Exit, Launcher, LauncherFailedError
from deepcoder_sandbox.privileges import PROGRAM_USER
from deepcoder_sandbox.sent_ahead import INLINE, PIPED
from deepcoder_sandbox.streams import Channel, MarkedSink, Sink, Source
from deepcoder_sandbox.tree_usage import tree_usage

SETUP_SECONDS = 30.0
WATCH_SECONDS = 0.05
STDERR_TAIL_BYTES = 8 * 1024
MIB = 1024 * 1024
# What a bare forked interpreter has resident, shared with the zygote for the most part.
PROCESS_BASE_MIB = 24
MAX_FILE_MIB = 64


class Stop(StrEnum):
    """Why the server ended a run before its own end."""

    TIME = "time"
    OUTPUT = "output"
    MEMORY = "memory"
    PROCESSES = "processes"


@dataclass(frozen=True)
class Finished:
    """A run that is over and of which nothing is left."""

    exit: Exit
    wall_seconds: float
    stop: Stop | None
    stdout: bytes
    stderr: bytes


class ProgramRun:
    """A forked process and the server's ends of its streams. `close` must follow, whatever happens."""

    def __init__(
        self,
        launcher: Launcher,
        mode: str,
        limits: Limits,
        *,
        cpu_seconds: float,
        stdin: bytes | None = None,
        mark: bytes = b"",
        peer: socket.socket | None = None,
    ) -> None:
        """Fork it. Without `stdin`, its standard input and output are /dev/null. Raises LauncherFailedError.

        With `stdin` goes `mark`: what the process writes behind a test's output where others may follow. A launcher has
        one run at a time.
        """
        self.limits = limits
        self._mark = mark
        self.stop: Stop | None = None
        self._launcher = launcher
        self._exit: Exit | None = None
        self._next_watch = 0.0
        self._setup_cpu_seconds = 0.0
        self._cpu_bound_seconds = cpu_seconds
        self._cpu_seen: dict[str, float] = {}  # by pid, also of processes that nobody will wait for
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours, limits.output_mib * MIB, takes_proc=launcher.watches_trees)
        self.stdin: Source | None = None
        self.stdout: MarkedSink | None = None
        error_end, error_child = _pipe()
        self.stderr = Sink(error_end, STDERR_TAIL_BYTES)
        try:
            if stdin is not None:
                self._give_streams(stdin)
            descriptors = [error_child, theirs.fileno()] + ([peer.fileno()] if peer else [])
            launcher.spawn(mode, self._bounds(cpu_seconds), descriptors)
        except LauncherFailedError:
            self._close_streams()
            raise
        finally:
            theirs.close()
            os.close(error_child)
        self.begun = time.monotonic()

    def _bounds(self, cpu_seconds: float) -> dict[str, int]:
        return {
            "memory_mib": self.limits.memory_mib,
            "cpu_seconds": int(cpu_seconds) + 2,
            "processes": self.limits.processes,
            "file_mib": MAX_FILE_MIB,
        }

    def _give_streams(self, stdin: bytes) -> None:
        """Make pipes for standard input and output and send the child's ends; it takes them for 0 and 1."""
        output_end, output_child = _pipe()
        self.stdout = MarkedSink(output_end, self.limits.output_mib * MIB + 1, self._mark)
        self._give_input(stdin, output_child)

    def _give_input(self, stdin: bytes, *others: int) -> None:
        """Make a pipe for standard input and send the child's end, and `others`, which are closed here."""
        input_child, input_end = _pipe()
        self.stdin = Source(input_end, stdin)
        try:
            with contextlib.suppress(OSError):  # it is gone: its streams say so
                socket.send_fds(self.channel.socket, [b"\0"], [input_child, *others])
        finally:
            for descriptor in (input_child, *others):
                os.close(descriptor)

    @property
    def memory_mib(self) -> float:
        """Peak MiB of its largest process, once it is over; 0 before."""
        return self._exit.memory_mib if self._exit else 0.0

    @property
    def pid(self) -> int | None:
        """The process id of its first process; None before it has said its first word."""
        return self.channel.pid

    @property
    def streams(self) -> Sequence[Source | Sink | Channel]:
        """What `pump` polls."""
        every = (self.channel, self.stdin, self.stdout, self.stderr)
        return [stream for stream in every if stream is not None and stream.wanted()]

    @property
    def outputs_ended(self) -> bool:
        """Whether its output streams are at their end: the process is over, or has closed them."""
        return not self.stderr.wanted() and (self.stdout is None or not self.stdout.wanted())

    @property
    def test_ended(self) -> bool:
        """Whether the process has said that it is done with a test, its output complete."""
        return self.stdout is not None and bool(self.stdout.stretches)

    def load(self, task: dict[str, Any]) -> None:
        """Send what is to be run and wait until it begins; its clock starts then. Raises LauncherFailedError."""
        self.channel.send(json.dumps(task).encode())
        pump([self], lambda: self.channel.answered, time.monotonic() + SETUP_SECONDS)
        first = json.loads(self.channel.frames.pop(0)) if self.channel.frames else {}
        if not first.get("ready"):
            raise LauncherFailedError(f"a program's process cannot be set up: {first.get('failed', 'it ended')}")
        self.begun = time.monotonic()
        self._setup_cpu_seconds = first["cpu"]
        self._next_watch = self.begun + WATCH_SECONDS

    def send_tests(self, inputs: Sequence[bytes]) -> None:
        """Give a process that runs test after test the inputs of those that follow, each of at most INLINE_BYTES."""
        self.channel.send(*(INLINE + stdin for stdin in inputs))

    def send_large_test(self, stdin: bytes) -> None:
        """The same for an input of any size, to a process that has ended all tests that were sent."""
        if self.stdin is not None:
            self.stdin.close()
        self.channel.send(PIPED)
        self._give_input(stdin)

    def next_test(self) -> None:
        """The clock of the next test starts."""
        self.stderr.forget()
        self.begun = time.monotonic()

    def take_test(self) -> Finished | None:
        """How the test that has ended went, by the process's own word; None when that makes no sense."""
        assert self.stdout is not None
        stdout, frame = self.stdout.stretches.pop(0)
        try:
            report = json.loads(frame)
            status, wall = int(report["status"]), float(report["wall"])
            ended = Exit((status & 0xFF) << 8, float(report["cpu"]), float(report["memory"]), False)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None
        if len(stdout) > self.limits.output_mib * MIB or not 0 <= wall < math.inf:
            return None
        if status:  # else nobody asks what it said there
            self.stderr.drain()
        return Finished(ended, wall, None, stdout, bytes(self.stderr.data))

    def watch(self, now: float) -> None:
        """Hold the run to its output, memory, process and CPU bounds. Halts it past one."""
        if self._flooded():
            self.halt(Stop.OUTPUT)
        if self.channel.proc is None or now < self._next_watch or self.stop:
            return
        self._next_watch = now + WATCH_SECONDS
        try:
            usage = tree_usage(self.channel.proc)
        except OSError:
            return  # its /proc went with its first process
        for pid, seconds in usage.cpu_seconds.items():
            self._cpu_seen[pid] = max(seconds, self._cpu_seen.get(pid, 0.0))
        if usage.threads > self.limits.processes:
            self.halt(Stop.PROCESSES)
        elif usage.resident_bytes > (self.limits.memory_mib + PROCESS_BASE_MIB * usage.processes) * MIB:
            self.halt(Stop.MEMORY)
        elif self._tree_cpu_seconds() > self._cpu_bound_seconds:
            self.halt(Stop.TIME)

    def _tree_cpu_seconds(self) -> float:
        return max(0.0, sum(self._cpu_seen.values()) - self._setup_cpu_seconds)

    def _flooded(self) -> bool:
        """Whether more than may be has come out of it."""
        output = max(self.stderr.total_bytes, self.stdout.total_bytes if self.stdout else 0)
        return self.channel.overflowed or output > self.limits.output_mib * MIB

    def halt(self, stop: Stop) -> None:
        """End the run now; the first reason stands."""
        if self.stop is None and self._exit is None:
            self.stop = stop
            if self.pid is not None:
                self._launcher.kill(self.pid)

    def cpu_seconds(self) -> float:
        """CPU seconds so far of the run's first process; 0 where the kernel does not tell."""
        try:
            return time.clock_gettime(((~self.pid) << 3) | 2) if self.pid else 0.0
        except OSError:
            return 0.0

    def finish(self, deadline: float) -> Finished:
        """Wait until `deadline` (monotonic seconds) for the end, kill what is left, take the last output."""
        self.watch(time.monotonic())
        while self._exit is None and not self.stop and (rest := deadline - time.monotonic()) > 0:
            self._exit = self._launcher.await_end(min(rest, WATCH_SECONDS))
            self.watch(time.monotonic())  # it may have closed its streams to be out of sight
        if self._exit is None:
            self._exit = self._launcher.end(self.pid)
        wall = time.monotonic() - self.begun
        if self._exit.killed and self.stop is None:
            self.stop = Stop.TIME
        for sink in (self.stdout, self.stderr):
            if sink is not None:
                sink.drain()
        if self._flooded() and self.stop in (None, Stop.TIME):
            self.stop = Stop.OUTPUT
        stdout = bytes(self.stdout.data) if self.stdout else b""
        cpu = max(0.0, self._exit.cpu_seconds - self._setup_cpu_seconds, self._tree_cpu_seconds())
        ended = replace(self._exit, cpu_seconds=cpu)
        return Finished(ended, wall, self.stop, stdout, bytes(self.stderr.data))

    def close(self) -> None:
        """Kill and reap the run if `finish` has not, and close all streams. Raises LauncherFailedError."""
        try:
            if self._exit is None:
                self._exit = self._launcher.end(self.pid)
        finally:
            self._close_streams()

    def _close_streams(self) -> None:
        for stream in (self.channel, self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def started(
    launcher: Launcher,
    mode: str,
    task: dict[str, Any],
    limits: Limits,
    *,
    cpu_seconds: float,
    stdin: bytes | None = None,
    mark: bytes = b"",
) -> ProgramRun:
    """A run that has begun `task`, as `load` says. Raises LauncherFailedError, and then leaves nothing."""
    run = ProgramRun(launcher, mode, limits, cpu_seconds=cpu_seconds, stdin=stdin, mark=mark)
    try:
        run.load(task)
    except BaseException:
        run.close()
        raise
    return run


def _pipe() -> tuple[int, int]:
    """A pipe that the program may also open by its name, /dev/stdin and the like."""
    ends = os.pipe2(os.O_CLOEXEC)
    if os.geteuid() == 0:
        os.fchown(ends[0], PROGRAM_USER, PROGRAM_USER)
    return ends


def pump(runs: Sequence[ProgramRun], done: Callable[[], bool], deadline: float) -> bool:
    """Move the streams of `runs` until `done()`, or a run is halted, or `deadline` (monotonic seconds).

    Returns whether `done()` came true.
    """
    while not done():
        now = time.monotonic()
        for run in runs:
            run.watch(now)
        if now >= deadline or any(run.stop for run in runs):
            return done()
        poller = select.poll()
        streams = {stream.descriptor: stream for run in runs for stream in run.streams}
        for descriptor, stream in streams.items():
            poller.register(descriptor, stream.wanted())
        for descriptor, _ in poller.poll(1000 * min(deadline - now, WATCH_SECONDS) + 1):
            if streams[descriptor].wanted():
                streams[descriptor].move()
    return True
