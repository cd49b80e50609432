"""One local process: started in its own process group, its log in a file, ended for certain."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcoder_api.lifecycle import TerminationMessage, parse_termination_message
from deepcoder_api.processes import Process

# What a process of ours needs from the caller's environment; everything else is in its description.
INHERITED = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "VIRTUAL_ENV")
GRACE_SECONDS = 30.0
FORCE_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


class ProcessFailedError(Exception):
    """A process ended as it should not. `message` is its termination message, where it left one."""

    def __init__(self, role: str, code: int, message: TerminationMessage | None, log: Path) -> None:
        self.role = role
        self.code = code
        self.message = message
        self.log = log
        cause = message.cause if message and message.cause else f"exit code {code}; last lines:\n{_tail(log)}"
        super().__init__(f"{role} failed: {cause}\n(log: {log})")

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed: all but an end that said it would fail the same way again."""
        return self.message is None or self.message.outcome == "retryable"


@dataclass
class LocalProcess:
    """A running process of a description. `temporary` is its own folder for temporary files, gone at its end."""

    role: str
    process: subprocess.Popen[bytes]
    log: Path
    termination_log: Path
    temporary: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def termination_message(self) -> TerminationMessage | None:
        """What it said at its end."""
        try:
            return parse_termination_message(self.termination_log.read_text())
        except FileNotFoundError:
            return None

    def failure(self) -> ProcessFailedError:
        """Its end as an error."""
        return ProcessFailedError(self.role, self.process.returncode, self.termination_message(), self.log)

    def wait(self, deadline_seconds: float | None = None) -> TerminationMessage | None:
        """Wait for its end. Raises ProcessFailedError unless it ended well, TimeoutError after the deadline."""
        try:
            code = self.process.wait(timeout=deadline_seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.role} did not end within {deadline_seconds:.0f} s (log: {self.log})") from error
        if code != 0:
            raise self.failure()
        return self.termination_message()

    def end(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Terminate its whole process group, with force once the grace is over."""
        _signal_group(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=grace_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when the wait is interrupted
            _signal_group(self.process.pid, signal.SIGKILL)  # what is left of the group
        self.process.wait(timeout=FORCE_SECONDS)
        shutil.rmtree(self.temporary, ignore_errors=True)


def end_all(processes: Sequence[LocalProcess], grace_seconds: float = GRACE_SECONDS) -> None:
    """End several at once: all are asked before any is waited for."""
    for process in processes:
        _signal_group(process.process.pid, signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.callback(process.end, grace_seconds)


def start_process(description: Process, folder: Path, secrets: Mapping[str, str]) -> LocalProcess:
    """Start what `description` says; logs and the termination message go under `folder`.

    `secrets` are the caller's variables that stand in for Secrets. Raises KeyError for one that is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    termination_log = (folder / f"{description.role}.end").absolute()
    termination_log.write_text("")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    for variable in description.secrets:
        if variable.name in secrets:
            environment[variable.name] = secrets[variable.name]
        elif not variable.optional:
            raise KeyError(variable.name)
    environment |= description.environment
    # What is killed leaves sockets and batches in its temporary folder, as a pod does in its own.
    temporary = Path(tempfile.mkdtemp(prefix="deepcoder-"))
    environment |= {"TERMINATION_LOG": str(termination_log), "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary)}
    log = folder / f"{description.role}.log"
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                description.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
    except OSError:
        temporary.rmdir()
        raise
    return LocalProcess(description.role, process, log, termination_log, temporary)


def run_process(
    description: Process, folder: Path, secrets: Mapping[str, str], deadline_seconds: float
) -> TerminationMessage | None:
    """Run to the end, what comes before it first. Raises ProcessFailedError or TimeoutError."""
    for before in description.before:
        run_process(before, folder, secrets, deadline_seconds)
    process = start_process(description, folder, secrets)
    try:
        return process.wait(deadline_seconds)
    finally:
        process.end(grace_seconds=5.0)


def _end_with_parent() -> None:
    """In the child: be asked to end when the parent is gone, however it went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"
