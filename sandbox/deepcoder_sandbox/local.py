"""A grading server as a process of this machine: under runsc when it is there and we are root, else natively."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx
import structlog

import deepcoder_api
import deepcoder_sandbox
from deepcoder_sandbox.gvisor_bundle import SCRATCH, SOCKET_FOLDER, write_bundle
from deepcoder_sandbox.tree_usage import descendants

SOCKET_NAME = "grading.sock"
DRAIN_SECONDS = 10
STOP_SECONDS = 20.0  # longer than the server drains and closes
POLL_SECONDS = 0.05
log = structlog.get_logger()


class LocalSandboxError(Exception):
    """The server cannot be started, or did not become ready; then the message ends with the last lines of its log."""


@dataclass
class LocalSandbox:
    """A running server. `url` is for SandboxClient; `isolated` says whether gVisor is between it and this machine."""

    url: str
    isolated: bool
    process: subprocess.Popen[bytes]
    log_path: Path
    _folder: Path
    _runsc: list[str] = field(default_factory=list)  # the command that knows the container, less its verb

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self.process.poll() is None

    def __enter__(self) -> LocalSandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it finish what it has accepted, for a while; then end it and remove its files."""
        if self.running:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        if self.running:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        if self._runsc:
            self._call_runsc("delete", "--force", self._folder.name)
            # runsc keeps a network namespace mounted in its state folder, which could not be removed with it.
            unmount = ["umount", "--lazy", str(self._folder / "state" / "null-netns")]
            subprocess.run(unmount, check=False, capture_output=True, timeout=STOP_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def terminate(self) -> None:
        """Send the server SIGTERM, as a kubelet would, and do not wait."""
        # `runsc run` passes no signal on: a signal to it ends it, and leaves what is inside without an end of its own.
        if not self._runsc or not self._call_runsc("kill", self._folder.name, "TERM"):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to every process of it at once, as when its node is lost. `stop` removes what is left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        """The ids of its processes on this machine, parents before children; none once it has ended."""
        return [self.process.pid, *descendants(self.process.pid)] if self.running else []

    def _call_runsc(self, *arguments: str) -> bool:
        """Whether it did what it was told, in time."""
        command = [*self._runsc, *arguments]
        try:
            return subprocess.run(command, check=False, capture_output=True, timeout=STOP_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:  # it waits for the end of what was killed, on a machine that is overloaded
            return False


def find_runsc() -> Path | None:
    """The runsc of this machine: build/bin/runsc of the clone that this file is in, or the first in PATH."""
    built = Path(__file__).resolve().parents[2] / "build" / "bin" / "runsc"
    if os.access(built, os.X_OK):
        return built
    found = shutil.which("runsc")
    return Path(found) if found else None


def start_local_sandbox(
    *,
    runsc: Path | None = None,
    native: bool = False,
    workers: int | None = None,
    ready_seconds: float = 60.0,
    arguments: Sequence[str] = (),
    folder: Path | None = None,
) -> LocalSandbox:
    """Start a server and wait until it accepts grades, at most `ready_seconds`. Raises LocalSandboxError.

    It runs under `runsc`, or the one that `find_runsc` finds, with isolation verified; with `native`, or when there
    is no runsc or we are not root, as an ordinary process, which it says loudly. `arguments` go to the server.
    Its files lie in `folder`, which must not be there yet and gives the same `url` each time, or in a temporary one.
    """
    runsc = None if native else runsc or find_runsc()
    if runsc is not None and os.geteuid() != 0:
        log.warning("runsc needs root: not used", runsc=str(runsc))
        runsc = None
    folder = _make_folder(folder)
    options = ["--drain-seconds", str(DRAIN_SECONDS), *(["--workers", str(workers)] if workers else []), *arguments]
    _compile_ours()
    sandbox = _start_isolated(runsc, folder, options) if runsc else _start_native(folder, options)
    try:
        _await_ready(sandbox, ready_seconds)
    except BaseException:
        sandbox.stop()
        raise
    return sandbox


def _compile_ours() -> None:
    """Byte-compile our packages where that can be kept, as an image has them.

    Servers keep nothing that they compile, and a zygote that has compiled is larger: each fork of it costs more.
    """
    for package in (deepcoder_api, deepcoder_sandbox):
        compileall.compile_dir(package.__path__[0], quiet=2)


def _make_folder(wanted: Path | None) -> Path:
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix="deepcoder-sandbox-"))
    else:
        folder = wanted.absolute()
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise LocalSandboxError(f"{folder} is there already: a grading server makes its folder itself") from None
    folder.chmod(0o755)
    return folder


def _start_isolated(runsc: Path, folder: Path, options: Sequence[str]) -> LocalSandbox:
    sockets = folder / "server"
    sockets.mkdir()
    sockets.chmod(0o777)
    inside = ["--uds", f"{SOCKET_FOLDER}/{SOCKET_NAME}", "--scratch", SCRATCH, "--require-isolation"]
    write_bundle(folder / "bundle", sockets, [*inside, "--isolation-deadline-seconds", "20", *options])
    name = folder.name
    common = [str(runsc), f"--root={folder}/state", "--network=none", "--host-uds=create", "--ignore-cgroups"]
    log_path = folder / "server.log"
    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [*common, "run", f"--bundle={folder}/bundle", name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return LocalSandbox(f"unix://{sockets / SOCKET_NAME}", True, process, log_path, folder, common)


def _start_native(folder: Path, options: Sequence[str]) -> LocalSandbox:
    log.warning("no gVisor: model-written programs run NATIVELY on this machine, in namespaces only")
    scratch = folder / "programs"
    inside = ["--uds", str(folder / SOCKET_NAME), "--scratch", str(scratch), "--no-require-isolation"]
    log_path = folder / "server.log"
    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deepcoder_sandbox.server", *inside, *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return LocalSandbox(f"unix://{folder / SOCKET_NAME}", False, process, log_path, folder)


def _await_ready(sandbox: LocalSandbox, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    transport = httpx.HTTPTransport(uds=sandbox.url.removeprefix("unix://"))
    reason = "no answer"
    with httpx.Client(base_url="http://sandbox", transport=transport, trust_env=False) as http:
        while time.monotonic() < deadline and sandbox.process.poll() is None:
            try:
                response = http.get("/readyz", timeout=5.0)
                if response.status_code == 200:
                    return
                reason = response.text
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
            time.sleep(POLL_SECONDS)
    tail = sandbox.log_path.read_text(errors="replace")[-3000:]
    state = f"exit status {sandbox.process.poll()}" if sandbox.process.poll() is not None else reason
    raise LocalSandboxError(f"the grading server is not ready after {seconds:g} s ({state}):\n{tail}")
