"""A measurement of hours in several sittings: what an earlier call wrote is taken up, part by part."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

SAME = ("seeds", "steps", "cores", "model", "memory_mib")
"""What must be the same in all sittings of one report: how it was asked for, and the machine."""


class OtherSittingError(ValueError):
    """An earlier report was measured another way, or on another machine."""


@dataclass
class Sittings:
    """The parts measured so far, and for each when, at which commit, at what load and for how long."""

    now: dict[str, Any]
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def begin(cls, machine: dict[str, Any], seeds: int, steps: int | None) -> Sittings:
        """None measured yet. `steps` None is the whole measurement."""
        asked = {"seeds": seeds, "steps": steps}
        return cls({**asked, **{name: machine[name] for name in SAME if name in machine}, "commit": _commit()})

    def take_up(self, file: Path) -> None:
        """Take up the parts of an earlier report, where there is one; those that failed are not in it.

        Raises OtherSittingError when a part was measured another way than is asked for now.
        """
        if not file.exists():
            return
        earlier = json.loads(file.read_text())
        for part, told in earlier.get("sittings", {}).items():
            differing = [name for name in SAME if told.get(name) != self.now[name]]
            other = [f"{name} {told.get(name)} and not {self.now[name]}" for name in differing]
            if other:
                raise OtherSittingError(f"{file}: part {part} was measured with {', '.join(other)}")
            self.measured[part], self.told[part] = earlier["parts"][part], told

    def add(self, part: str, measured: dict[str, Any], load_before: float, seconds: float) -> None:
        """A part that is done."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.measured[part] = measured
        self.told[part] = {**self.now, "at": at, "load_before": round(load_before, 2), "seconds": round(seconds, 1)}


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or "unknown"
