"""A resolved evaluation small enough for tests; what a test cares about is given by name."""

from __future__ import annotations

from typing import Any

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.resolve import ResolvedEvaluation


def resolved_evaluation(model_uri: str = "file:///model", **parts: Any) -> ResolvedEvaluation:
    """An evaluation of a model by its URI over one benchmark. `parts` are of spec."""
    spec: dict[str, Any] = {
        "model": {"uri": model_uri},
        "engine": {"gpusPerReplica": 0},
        "benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": "file:///problems.jsonl"}],
        "storage": {"uri": "s3://bucket/prefix"},
        **parts,
    }
    return ResolvedEvaluation(
        namespace="default",
        name="tiny",
        uid="0123456789abcdef",
        spec=EvaluationSpec.model_validate(spec),
        model_uri=model_uri,
        model_name="tiny",
    )
