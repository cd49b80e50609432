"""The server as a process: it fails closed, says why, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deepcoder_api.lifecycle import EXIT_PERMANENT, TerminationMessage, parse_termination_message

READY_SECONDS = 60


class Server:
    """A server that requires isolation, which a bare process can never show."""

    def __init__(self, folder: Path, deadline_seconds: int) -> None:
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()
        self.socket_path = folder / "server.sock"
        arguments = ["--uds", str(self.socket_path), "--scratch", str(folder / "scratch"), "--workers", "1"]
        arguments += ["--require-isolation", "--isolation-deadline-seconds", str(deadline_seconds)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deepcoder_sandbox.server", *arguments, "--termination-log", self.termination_log],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )

    def readiness(self) -> httpx.Response:
        """What /readyz says, once the server listens."""
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket_path))) as http:
            while True:
                try:
                    return http.get("http://sandbox/readyz")
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    assert self.process.poll() is None
                    time.sleep(0.05)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="deepcoder-sandbox-") as folder:
        yield Path(folder)


def test_server_that_cannot_show_isolation_ends_for_good(folder):
    """Never ready, exit status 64, and a termination message that names what was seen."""
    server = Server(folder, deadline_seconds=0)
    assert server.process.wait(READY_SECONDS) == EXIT_PERMANENT
    message = parse_termination_message(server.termination_log.read_text())
    assert isinstance(message, TerminationMessage)
    assert (message.outcome, message.reason) == ("permanent", "IsolationFailed")
    assert "the kernel under the server is not gVisor's" in message.cause
    assert "the kernel under a program is not gVisor's" in message.cause


def test_server_waits_for_isolation_and_heeds_sigterm_meanwhile(folder):
    """While it looks again it is not ready; a pod that is deleted then ends at once, and not as a failure."""
    server = Server(folder, deadline_seconds=600)
    try:
        readiness = server.readiness()
        assert readiness.status_code == 503
        assert "not verified yet" in readiness.json()["error"]
        time.sleep(0.5)  # into the look, or the pause after it
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.termination_log.read_text() == ""
    finally:
        server.process.kill()
        server.process.wait()
