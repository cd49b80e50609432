"""The end of a local server on a machine that is slow to let go of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deepcoder_sandbox import local
from deepcoder_sandbox.local import LocalSandbox


def test_runsc_that_does_not_end_does_not_keep_the_server(monkeypatch, tmp_path):
    """It waits for all processes of what was killed; after a while the server is ended and removed without it."""
    monkeypatch.setattr(local, "STOP_SECONDS", 0.5)
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    folder = tmp_path / "server"
    folder.mkdir()
    server = subprocess.Popen(sleeping)
    sandbox = LocalSandbox("unix:///none", True, server, Path("/dev/null"), folder, _runsc=sleeping)
    sandbox.stop()
    assert not sandbox.running
    assert not folder.exists()
