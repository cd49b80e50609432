"""The configuration that a process of ours is started with: the resolved resource in the file DEEPCODER_CONFIG."""

from __future__ import annotations

import json
import os
from pathlib import Path

from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun


def read_resource() -> ResolvedRun | ResolvedEvaluation:
    """The resource this process works for. Raises KeyError, OSError or pydantic.ValidationError."""
    content = Path(os.environ["DEEPCODER_CONFIG"]).read_bytes()
    kind = ResolvedEvaluation if "model_uri" in json.loads(content) else ResolvedRun
    return kind.model_validate_json(content)


def work_directory() -> Path | None:
    """The folder for large temporary files, made when it is not there; None to use the system's own."""
    given = os.environ.get("DEEPCODER_WORK_DIRECTORY")
    if given is None:
        return None
    folder = Path(given)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
