"""docs/evaluation.md says what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from deepcoder_api.evaluation import EngineKind, EvaluationSpec
from deepcoder_api.evaluation_benchmarks import BenchmarkKind
from deepcoder_api.manifest import EvaluationResource, parse_resource, read_documents

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "evaluation.md").read_text()


def test_its_example_is_accepted() -> None:
    """With the scalar rules of kubectl, by which a date is text."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (document,) = read_documents(block)
    resource = parse_resource(document)
    assert isinstance(resource, EvaluationResource)
    assert resource.spec.scored_lengths == (16384, 32768, 65536)


def test_its_tables_have_every_kind() -> None:
    """Of benchmarks and of engines, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)
    assert set(rows) == {*get_args(BenchmarkKind), *get_args(EngineKind)}


@pytest.mark.parametrize(("example", "lengths", "benchmarks"), [("deepcoder-14b", 3, 3), ("deepscaler-1.5b", 4, 1)])
def test_a_published_evaluation_asks_base_and_tuned_model_the_same(example: str, lengths: int, benchmarks: int) -> None:
    """All that is not the model is equal, at as many lengths and over as many benchmarks as were published."""
    documents = read_documents((ROOT / "examples" / example / "evaluation.yaml").read_text())
    base, tuned = (parse_resource(document).spec for document in documents)
    assert base.model_copy(update={"model": tuned.model}) == tuned
    assert base.model != tuned.model
    assert isinstance(tuned, EvaluationSpec)
    assert (len(tuned.scored_lengths), len(tuned.benchmarks)) == (lengths, benchmarks)
