"""The server's handle on one zygote process: start it, let it fork runs, see their ends. One owner at a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcoder_sandbox.confinement import ENVIRONMENT
from deepcoder_sandbox.frames import HEADER, pack
from deepcoder_sandbox.privileges import PROGRAM_USER

START_SECONDS = 60.0
ANSWER_SECONDS = 20.0
PRELOAD = (
    *("re", "collections", "heapq", "bisect", "math", "itertools", "functools", "operator", "string", "random"),
    *("typing", "json", "io", "ast"),
)
# Costly to import, so a second zygote has it, for programs that speak of it.
NUMERIC = "numpy"
# SymPy and a grammar, likewise, for what compares mathematical values.
MATHEMATICAL = "deepcoder_sandbox.math_equality"


class LauncherFailedError(Exception):
    """The zygote died, does not answer, or cannot fork: never the program's fault. A new one may do better."""


@dataclass(frozen=True)
class Exit:
    """How a run ended: `status` as os.wait gives it, CPU seconds of the whole tree, peak MiB of its largest process.

    `killed`: by us, as it had not ended.
    """

    status: int
    cpu_seconds: float
    memory_mib: float
    killed: bool


class Launcher:
    """One zygote. `start` may be called again after a failure."""

    def __init__(self, scratch: Path, preload: Sequence[str] = PRELOAD) -> None:
        self._scratch = scratch
        self._preload = tuple(preload)
        self._companions: dict[str, Launcher] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folder = ""
        self.missing: dict[str, str] = {}

    def suited_to(self, program: str) -> Launcher:
        """The launcher that has what `program` imports: this one, or its companion with numpy.

        Raises LauncherFailedError.
        """
        return self._companion("numeric", (*self._preload, NUMERIC)) if NUMERIC in program else self

    @property
    def beside(self) -> Launcher:
        """The companion that forks what runs beside a program: a judge, a checker. Raises LauncherFailedError."""
        return self._companion("beside", self._preload)

    @property
    def mathematical(self) -> Launcher:
        """The companion that forks what compares mathematical values. Raises LauncherFailedError."""
        return self._companion("mathematical", (*self._preload, MATHEMATICAL))

    def _companion(self, name: str, preload: Sequence[str]) -> Launcher:
        """Started when first needed; it goes when this one goes."""
        if name not in self._companions:
            companion = Launcher(self._scratch, preload)
            companion.start()
            self._companions[name] = companion
        return self._companions[name]

    @property
    def pids(self) -> list[int]:
        """The process ids of the zygotes that there are."""
        own = [self._process.pid] if self._process else []
        # A copy: metrics ask from another thread than the one that starts companions.
        return own + [pid for companion in list(self._companions.values()) for pid in companion.pids]

    @property
    def watches_trees(self) -> bool:
        """Whether a run has a /proc that shows its own processes and no others."""
        return not self.missing.keys() & {"pid", "mount"}

    def start(self) -> None:
        """Start the zygote, ending one that is there, and wait until it is warm. Raises LauncherFailedError."""
        self.begin()
        self.await_warm()

    def begin(self) -> None:
        """Start the zygote without waiting for it: several may warm up at once. Raises LauncherFailedError."""
        self.close()
        ours, theirs = socket.socketpair()
        package_folder = str(Path(__file__).resolve().parent.parent)
        command = [sys.executable, "-X", "utf8", "-s", "-B", "-m", "deepcoder_sandbox.zygote"]
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._scratch), ",".join(self._preload)],
                # One thread each: a zygote that had more could not fork.
                env={"PYTHONPATH": package_folder, "PYTHONHASHSEED": "0", **ENVIRONMENT},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            raise LauncherFailedError(f"the zygote cannot be started: {error}") from error
        finally:
            theirs.close()
        self._control = ours

    def await_warm(self) -> None:
        """Wait until the zygote that `begin` started can fork. Raises LauncherFailedError."""
        self.missing = self._receive(START_SECONDS)["missing"]

    def close(self) -> None:
        """End the zygote and with it every run of its own."""
        for companion in self._companions.values():
            companion.close()
        self._companions.clear()
        if self._control:
            self._control.close()
        if self._process:
            self._process.kill()
            self._process.wait(ANSWER_SECONDS)
        self._control = self._process = None
        self._remove_folder()

    def spawn(self, mode: str, limits: dict[str, int], descriptors: Sequence[int]) -> None:
        """Fork a confined child with `descriptors` as 2, 3, … One at a time: its `Exit` must be taken before the next.

        Raises LauncherFailedError.
        """
        self._folder = self._make_folder() if "mount" in self.missing else ""
        self._send({"mode": mode, "limits": limits, "folder": self._folder}, descriptors)

    def end(self, pid: int | None) -> Exit:
        """The end of the run whose first process is `pid`: its own where it has come, else it is killed.

        Raises LauncherFailedError: also when it should be killed and has no `pid` yet.
        """
        ended = self.await_end(0.0)
        if ended is not None:
            return ended
        if pid is None:
            raise LauncherFailedError("a program's process cannot be set up: it says nothing")
        self.kill(pid)
        return self._take_exit(killed=True)

    def await_end(self, seconds: float) -> Exit | None:
        """Wait `seconds` for the run's own end; None while it runs. Raises LauncherFailedError."""
        return self._take_exit(killed=False) if self._answers_within(seconds) else None

    def _take_exit(self, *, killed: bool) -> Exit:
        answer = self._receive(ANSWER_SECONDS)
        self._remove_folder()
        if "status" not in answer:
            raise LauncherFailedError(f"a program cannot be forked: {answer.get('error')}")
        return Exit(answer["status"], answer["cpu"], answer["memory"], killed)

    def kill(self, pid: int) -> None:
        """Kill a run of which no end was seen a moment ago (so its pid is still its own)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _answers_within(self, seconds: float) -> bool:
        assert self._control is not None
        poller = select.poll()
        poller.register(self._control.fileno(), select.POLLIN)
        return bool(poller.poll(1000 * seconds))

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _make_folder(self) -> str:
        folder = tempfile.mkdtemp(prefix="run-", dir=self._scratch)
        if os.geteuid() == 0:
            os.chown(folder, PROGRAM_USER, PROGRAM_USER)
        return folder

    def _send(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        if self._control is None:
            raise LauncherFailedError("the zygote is not running")
        try:
            self._control.settimeout(ANSWER_SECONDS)
            data = b"\0" + pack(json.dumps(request).encode())
            sent = socket.send_fds(self._control, [data], list(descriptors))
            self._control.sendall(data[sent:])
        except OSError as error:
            raise LauncherFailedError(f"the zygote is gone: {error}") from error

    def _receive(self, seconds: float) -> dict[str, Any]:
        assert self._control is not None
        self._control.settimeout(seconds)
        try:
            (length,) = HEADER.unpack(self._exactly(HEADER.size))
            return json.loads(self._exactly(length))
        except OSError as error:
            raise LauncherFailedError(f"the zygote does not answer: {error}") from error

    def _exactly(self, size: int) -> bytes:
        assert self._control is not None
        data = b""
        while len(data) < size:
            chunk = self._control.recv(size - len(data))
            if not chunk:
                raise ConnectionResetError("it closed its socket")
            data += chunk
        return data
