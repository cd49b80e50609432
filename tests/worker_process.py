"""Our modules as the processes that a pod starts: a configuration in, an exit code and a termination message out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepcoder_api.lifecycle import TerminationMessage, parse_termination_message
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun

MESSAGE = "termination-log"


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    message: TerminationMessage
    log: str


def worker_environment(
    resource: ResolvedRun | ResolvedEvaluation, folder: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a process for a resource finds in its environment; its files are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(resource.model_dump_json())
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HF_"))}
    return {
        **inherited,
        "HOME": str(folder),
        "DEEPCODER_CONFIG": str(folder / "config.json"),
        "DEEPCODER_WORK_DIRECTORY": str(folder / "work"),
        "TERMINATION_LOG": str(folder / MESSAGE),
        **(environment or {}),
    }


def run_worker(
    module: str,
    resource: ResolvedRun | ResolvedEvaluation,
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
) -> Ended:
    """Run `python -m module` for a resource, in a folder of its own, to its end."""
    message = folder / MESSAGE
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=worker_environment(resource, folder, environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    found = parse_termination_message(message.read_text()) if message.exists() else None
    assert found is not None, f"{module} left no termination message:\n{done.stderr}"
    return Ended(done.returncode, found, done.stderr)
