"""TrainingRuns and Evaluations as documents: the least that is valid, and ways to change one value of them."""

from __future__ import annotations

import copy
import itertools
import re
from typing import Any

Document = dict[str, Any]

GONE = object()
"""A value for `changed` that takes the field away."""


def training_run(name: str = "tiny", **spec: Any) -> Document:
    """A TrainingRun that says nothing but what must be said. `spec` are whole members of its spec."""
    return {
        "apiVersion": "deepcoder.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": "s3://bucket/model"},
            "data": {"sources": [{"name": "made", "format": "jsonl", "uri": "s3://bucket/problems.jsonl"}]},
            "stages": [
                {"name": "short", "maxResponseTokens": 128, "steps": 3},
                {"name": "long", "maxResponseTokens": 256, "steps": 2},
            ],
            "storage": {"uri": "s3://bucket/prefix"},
            **spec,
        },
    }


def evaluation(name: str = "before", **spec: Any) -> Document:
    """An Evaluation that says nothing but what must be said. `spec` are whole members of its spec."""
    return {
        "apiVersion": "deepcoder.dev/v1alpha1",
        "kind": "Evaluation",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": "s3://bucket/model"},
            "benchmarks": [{"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/held-out.jsonl"}],
            "storage": {"uri": "s3://bucket/prefix"},
            **spec,
        },
    }


def changed(document: Document, path: str, value: Any) -> Document:
    """A copy with the value at `path`, such as spec.stages[0].steps; mappings on the way are made."""
    result = copy.deepcopy(document)
    parts: list[str | int] = [
        int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)
    ]
    here: Any = result
    for part, following in itertools.pairwise(parts):
        if isinstance(part, str) and part not in here:
            here[part] = [] if isinstance(following, int) else {}
        here = here[part]
    if value is GONE:
        del here[parts[-1]]
    elif isinstance(here, list) and parts[-1] == len(here):
        here.append(value)
    else:
        here[parts[-1]] = value
    return result
