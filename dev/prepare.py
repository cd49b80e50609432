"""Everything that must be there before the demo or the end-to-end tests: environment, cluster, images in its registry.

Each piece skips what is done; how long each took goes to build/seconds.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from machine import MissingError, check_machine, entry_point

ROOT = Path(__file__).resolve().parent.parent
PIECES = {
    "environment": ("dev/environment.py",),
    "cluster": ("dev/cluster.py", "up"),
    "images": ("dev/images.py", "build", "--push"),
}


def main() -> None:
    """Run the pieces in order; the first that fails ends it."""
    check_machine(needs_go=True)
    seconds: dict[str, float] = {}
    for name, command in PIECES.items():
        started = time.monotonic()
        done = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
        if done.returncode != 0:
            raise MissingError(f"`python3 {' '.join(command)}` failed; what it said stands above")
        seconds[name] = round(time.monotonic() - started, 1)
    (ROOT / "build" / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    entry_point(main)
