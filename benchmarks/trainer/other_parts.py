"""Parts c and e, which are programs of their own: run one, and take what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

SECONDS = 3600.0
MODULES = {"c": "benchmarks.trainer.weights", "e": "benchmarks.trainer.memory"}
TRIALS = {"c": ("--size", "16", "--versions", "2"), "e": ("--tokens", "1024", "2048", "4096")}


def measure(part: str, folder: Path, *, trial: bool = False) -> dict[str, Any]:
    """The figures of the part, for a trial of a short form of it. Raises CalledProcessError or TimeoutExpired."""
    output = folder / f"{part}.json"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", MODULES[part], "--output", str(output), *(TRIALS[part] if trial else ())]
    subprocess.run(command, check=True, timeout=SECONDS, cwd=ROOT)
    return json.loads(output.read_text())
