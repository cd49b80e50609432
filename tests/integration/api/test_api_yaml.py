"""kubectl itself, asked for the meaning of what we read in its place."""

from __future__ import annotations

import json

import pytest

from deepcoder_api.yaml_text import load_documents
from tests.control_plane import ControlPlane
from tests.yaml_scalars import SCALARS

HEAD = "apiVersion: deepcoder.dev/v1alpha1\nkind: TrainingRun\nmetadata: {name: a}\n"


def as_kubectl_reads(plane: ControlPlane, text: str) -> dict[str, object]:
    """The spec that kubectl makes of a manifest, without asking a server."""
    done = plane.kubectl("annotate", "--local", "-o", "json", "-f", "-", "a=b", text=HEAD + text)
    return json.loads(done)["spec"]


def test_scalars_mean_the_same_to_kubectl(control_plane: ControlPlane) -> None:
    """The whole table, value and type."""
    text = "spec:\n" + "".join(f"  v{number}: {text}\n" for number, (text, _) in enumerate(SCALARS))
    read = as_kubectl_reads(control_plane, text)
    found = {written: json.dumps(read[f"v{number}"]) for number, (written, _) in enumerate(SCALARS)}
    assert found == {written: json.dumps(meaning) for written, meaning in SCALARS}


@pytest.mark.parametrize(
    "text",
    [
        "spec: {1: a, true: b, 1.5: c, '2': d}",
        "spec:\n  base: &base {cpu: 1, memory: 2Gi}\n  pod:\n    <<: *base\n    cpu: 2",
        "spec:\n  a: |\n    two\n    lines\n  b: >-\n    one\n    line",
        "spec: {\"a\": \"\\u00e9\", 'b': 'it''s'}",
        "spec: {a: [1e-6, 2024-08-01, yes, ~]}",
    ],
)
def test_structures_mean_the_same_to_kubectl(control_plane: ControlPlane, text: str) -> None:
    """Keys, merges, blocks and quotes."""
    (document,) = load_documents(HEAD + text)
    assert as_kubectl_reads(control_plane, text) == document["spec"]
