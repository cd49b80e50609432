"""The server's handle on one zygote process: start it, let it fork runs, see their ends. One owner at a time."""

from __future__ import annotations

import contextlib
import json
import os
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
    *("typing", "json", "io", "traceback", "ast"),
)
# Costly to import, so a second zygote has it, for programs that speak of it.
NUMERIC = "numpy"


class LauncherFailedError(Exception):
    """The zygote died, does not answer, or cannot fork: never the program's fault. A new one may do better."""


@dataclass(frozen=True)
class Exit:
    """How a run ended: `status` as os.wait gives it, CPU seconds of the whole tree, peak MiB of its largest process."""

    status: int
    cpu_seconds: float
    memory_mib: float
    killed: bool


class Launcher:
    """One zygote. `start` may be called again after a failure."""

    def __init__(self, scratch: Path, preload: Sequence[str] = PRELOAD) -> None:
        self._scratch = scratch
        self._preload = tuple(preload)
        self._numeric: Launcher | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folders: dict[int, str] = {}
        self.missing: dict[str, str] = {}

    def suited_to(self, program: str) -> Launcher:
        """The launcher that has what `program` imports: this one, or its companion with numpy, started when needed.

        It goes when this one goes. Raises LauncherFailedError.
        """
        if NUMERIC not in program:
            return self
        if self._numeric is None:
            self._numeric = Launcher(self._scratch, (*self._preload, NUMERIC))
            self._numeric.start()
        return self._numeric

    @property
    def pids(self) -> list[int]:
        """The process ids of the zygotes that there are."""
        own = [self._process.pid] if self._process else []
        return own + (self._numeric.pids if self._numeric else [])

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
        if self._numeric:
            self._numeric.close()
            self._numeric = None
        if self._control:
            self._control.close()
        if self._process:
            self._process.kill()
            self._process.wait(ANSWER_SECONDS)
        self._control = self._process = None
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def spawn(self, mode: str, limits: dict[str, int], descriptors: Sequence[int]) -> int:
        """Fork a confined child with `descriptors` as 0, 1, 2, … and return its pid. Raises LauncherFailedError."""
        folder = self._make_folder() if "mount" in self.missing else ""
        self._send({"op": "spawn", "mode": mode, "limits": limits, "folder": folder}, descriptors)
        answer = self._receive(ANSWER_SECONDS)
        if "pid" not in answer:
            raise LauncherFailedError(f"a program cannot be forked: {answer.get('error')}")
        if folder:
            self._folders[answer["pid"]] = folder
        return answer["pid"]

    def finish(self, pid: int, seconds: float) -> Exit:
        """Wait `seconds` for the run's end, kill what is left of it, reap it. Raises LauncherFailedError."""
        self._send({"op": "finish", "pid": pid, "seconds": max(0.0, seconds)}, ())
        answer = self._receive(ANSWER_SECONDS + max(0.0, seconds))
        folder = self._folders.pop(pid, None)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        return Exit(answer["status"], answer["cpu"], answer["memory"], answer["killed"])

    def kill(self, pid: int) -> None:
        """Kill a run that `finish` has not seen yet (so its pid is still its own)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

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
            socket.send_fds(self._control, [b"\0"], list(descriptors))
            self._control.sendall(pack(json.dumps(request).encode()))
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
