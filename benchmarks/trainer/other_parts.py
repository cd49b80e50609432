"""Parts c and e, which are programs of their own: run one, and take what it writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

SECONDS = 3600.0
MODULES = {"c": "benchmarks.trainer.weights", "e": "benchmarks.trainer.memory"}


def there(part: str) -> bool:
    """Whether this clone has the part."""
    return importlib.util.find_spec(MODULES[part]) is not None


def measure(part: str, folder: Path) -> dict[str, Any]:
    """The figures of the part. Raises CalledProcessError or TimeoutExpired."""
    output = folder / f"{part}.json"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", MODULES[part], "--output", str(output)]
    subprocess.run(command, check=True, timeout=SECONDS, cwd=ROOT)
    return json.loads(output.read_text())
