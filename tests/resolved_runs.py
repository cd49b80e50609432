"""A resolved run small enough for tests; what a test cares about is given by name."""

from __future__ import annotations

from typing import Any

from deepcoder_api.resolve import ResolvedRun, resolve_run
from deepcoder_api.training_run import TrainingRunSpec


def resolved_run(uid: str = "0123456789abcdef", **parts: Any) -> ResolvedRun:
    """A run on CPU of two stages (3 and 2 steps), 4 prompts a step with 2 samples each. `parts` are of spec."""
    spec: dict[str, Any] = {
        "model": {"uri": "file:///model"},
        "data": {
            "sources": [{"name": "made", "format": "jsonl", "uri": "file:///problems.jsonl"}],
            "maxPromptTokens": 64,
        },
        "algorithm": {"promptsPerStep": 4, "samplesPerPrompt": 2, "sampling": {"temperature": 1.0}},
        "stages": [
            {"name": "short", "maxResponseTokens": 12, "steps": 3},
            {"name": "long", "maxResponseTokens": 24, "steps": 2},
        ],
        "optimizer": {"learningRate": 1e-4},
        "trainer": {"gpusPerReplica": 0, "precision": "fp32", "tokensPerMicrobatch": 256},
        "rollout": {"gpusPerReplica": 0},
        "storage": {"uri": "s3://bucket/prefix"},
        "checkpoint": {"everySteps": 2, "keepLast": 2},
    }  # fmt: skip
    for name, part in parts.items():
        spec[name] = {**spec[name], **part} if isinstance(part, dict) and name in spec else part
    return resolve_run("default", "tiny", uid, TrainingRunSpec.model_validate(spec))
