"""A real vLLM with a model on this machine, started as the engine of an evaluation is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from deepcoder_api.processes import Addresses, engine_process
from deepcoder_cli.local.addresses import free_port
from deepcoder_cli.local.supervision import start_process
from tests.resolved_evaluations import resolved_evaluation

MODEL = "tiny"
"""The name that the engine serves its model by."""
READY_SECONDS = 240


@contextlib.contextmanager
def running_engine(model: Path, folder: Path, *, max_tokens: int, max_model_length: int) -> Iterator[str]:
    """Its URL while it is there; it answers within READY_SECONDS. Its log is in `folder`. Lengths in tokens."""
    evaluation = resolved_evaluation(
        f"file://{model}",
        sampling={"maxTokens": max_tokens},
        engine={"gpusPerReplica": 0, "maxModelLength": max_model_length},
    )
    port = free_port()
    at = Addresses(model_directory=str(model), bind="127.0.0.1", python=sys.executable)
    process = engine_process(evaluation, at, port=port)
    running = start_process(process.model_copy(update={"before": ()}), folder, {})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.end()
