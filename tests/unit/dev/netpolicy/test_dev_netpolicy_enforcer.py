"""The enforcer's command line. What it does on a cluster is tested on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENFORCER = Path(__file__).resolve().parents[4] / "dev" / "netpolicy" / "enforcer.py"


def test_it_runs_as_a_file_with_the_standard_library_alone(tmp_path: Path) -> None:
    """The cluster starts it by its path, with a Python that has nothing installed; no module shadows Python's own."""
    command = [sys.executable, "-S", str(ENFORCER), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "--kubeconfig" in done.stdout
