"""The grading server of a local run: started again in the same place when it ends, as a Deployment's pod is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from deepcoder_sandbox.local import LocalSandbox, LocalSandboxError, start_local_sandbox

TRIES = 3


class LocalGrading:
    """One server with one URL for all its lives. A context manager: it has ended when it is left."""

    def __init__(self, say: Callable[[str], None], *, native: bool = False) -> None:
        self._say = say
        self._native = native
        self._parent = Path(tempfile.mkdtemp(prefix="deepcoder-grading-"))
        self._parent.chmod(0o755)  # programs run as a user of their own
        self._server: LocalSandbox | None = None

    def __enter__(self) -> LocalGrading:
        try:
            self._server = self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._running.stop()
        finally:
            self._remove()

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self._running.url

    @property
    def isolated(self) -> bool:
        """Whether gVisor is between it and this machine."""
        return self._running.isolated

    def revive(self) -> None:
        """Start it again if it has ended. Raises LocalSandboxError when it does not come up in TRIES tries."""
        if self._running.running:
            return
        code = self._running.process.returncode
        self._say(f"the grading server ended with exit code {code} and starts again")
        self._running.stop()  # what a kill has left of it
        for left in reversed(range(TRIES)):
            try:
                self._server = self._start()
            except LocalSandboxError as error:
                if not left:
                    raise
                self._say(f"the grading server did not start, {left} tries are left: {error}")
            else:
                return

    @property
    def _running(self) -> LocalSandbox:
        assert self._server is not None, "it is entered first"
        return self._server

    def _start(self) -> LocalSandbox:
        return start_local_sandbox(folder=self._parent / "server", native=self._native)

    def _remove(self) -> None:
        shutil.rmtree(self._parent, ignore_errors=True)
