"""A prepared dataset in a real bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_api.artifacts import DatasetReport, DatasetRules
from deepcoder_data.dataset import DatasetWriter, commit_dataset, load_problems, read_report
from deepcoder_data.folders import DamagedError
from deepcoder_data.readers import read_problems
from deepcoder_data.store import BucketMissingError, ObjectMissingError, ObjectStore
from tests.problem_builders import json_lines, problem

REPORT = DatasetReport(
    key="k",
    problems=2,
    verified=2,
    tests=4,
    seconds=1.5,
    rules=DatasetRules(min_tests=1, max_prompt_tokens=64, verify_solutions="Required", dedupe_similarity=0.95),
    sources=(),
    decontamination=(),
    histograms=(),
    software={"python": "3.11"},
)
PROBLEMS = [problem("b"), problem("a")]


@pytest.fixture
def dataset(store: ObjectStore, folder: str, tmp_path: Path) -> str:
    """A committed dataset of two problems."""
    local = tmp_path / "dataset"
    local.mkdir()
    with DatasetWriter(local) as writer:
        for one in PROBLEMS:
            writer.add(one)
    commit_dataset(store, local, f"{folder}/datasets/k", REPORT)
    return f"{folder}/datasets/k"


def test_a_dataset_comes_back_in_its_order_with_its_report(store: ObjectStore, dataset: str) -> None:
    """The data cursor counts in this order."""
    assert list(load_problems(store, dataset).items()) == [(one.id, one) for one in PROBLEMS]
    assert read_report(store, dataset) == REPORT


def test_a_dataset_that_was_never_completed_is_not_there(store: ObjectStore, dataset: str) -> None:
    """An equal one is prepared again."""
    store.delete(f"{dataset}/complete.json")

    assert read_report(store, dataset) is None
    with pytest.raises(ObjectMissingError, match=f"{dataset} is not complete"):
        load_problems(store, dataset)


def test_a_damaged_dataset_is_never_trained_on(store: ObjectStore, dataset: str) -> None:
    """The checksum is looked at before the file is."""
    content = bytearray(store.get_bytes(f"{dataset}/problems.parquet"))
    content[len(content) // 2] ^= 1
    store.put_bytes(f"{dataset}/problems.parquet", bytes(content))

    with pytest.raises(DamagedError, match=f"{dataset}/problems.parquet"):
        load_problems(store, dataset)


def test_rows_are_read_from_a_bucket(store: ObjectStore, folder: str) -> None:
    """And a bucket or an object that is not there is named."""
    store.put_bytes(f"{folder}/problems.jsonl", json_lines(PROBLEMS))

    assert list(read_problems(store, f"{folder}/problems.jsonl", "jsonl")) == PROBLEMS
    with pytest.raises(ObjectMissingError, match=f"{folder}/none"):
        list(read_problems(store, f"{folder}/none", "jsonl"))
    with pytest.raises(BucketMissingError, match="no-such-bucket"):
        list(read_problems(store, "s3://no-such-bucket/x", "jsonl"))
