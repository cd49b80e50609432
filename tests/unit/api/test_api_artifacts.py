"""Where everything lies under a prefix: the layout of DESIGN section 6, which other versions will read."""

from __future__ import annotations

import pytest

from deepcoder_api.artifacts import Completion, EvaluationPaths, FileDigest, Head, RunPaths, dataset_uri

RUN = RunPaths("s3://bucket/prefix", "team", "tiny", "01234567-89ab-cdef")
ROOT = "s3://bucket/prefix/runs/team/tiny/01234567"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (RUN.root, ROOT),
        (RUN.head, f"{ROOT}/head.json"),
        (RUN.config, f"{ROOT}/run.json"),
        (RUN.checkpoints, f"{ROOT}/checkpoints"),
        (RUN.checkpoint(120), f"{ROOT}/checkpoints/step-000120"),
        (RUN.checkpoint(1_000_000), f"{ROOT}/checkpoints/step-1000000"),
        (RUN.journal(7), f"{ROOT}/journal/step-000007.parquet"),
        (RUN.samples(7), f"{ROOT}/samples/step-000007.parquet"),
        (dataset_uri("s3://bucket/prefix", "abc"), "s3://bucket/prefix/datasets/abc"),
    ],
)
def test_the_layout_of_a_run(found: str, expected: str) -> None:
    """Each place by its full URI."""
    assert found == expected


def test_the_layout_of_an_evaluation() -> None:
    """Beside the runs, by namespace."""
    paths = EvaluationPaths("s3://bucket/prefix", "team", "before", "01234567-89ab")
    assert paths.samples == "s3://bucket/prefix/team/evaluations/before/01234567/samples.parquet"
    assert paths.report == "s3://bucket/prefix/team/evaluations/before/01234567/report.json"


def test_a_slash_at_the_end_of_a_prefix_is_none() -> None:
    """s3://bucket/ and s3://bucket are one place: S3 keys would differ by an empty part."""
    with_slash = RunPaths("s3://bucket/prefix/", "team", "tiny", "01234567")
    assert with_slash.root == RUN.root
    assert dataset_uri("s3://bucket/", "abc") == "s3://bucket/datasets/abc"
    assert EvaluationPaths("s3://bucket/", "team", "e", "0").root == "s3://bucket/team/evaluations/e/0"


def test_a_run_of_the_same_name_lies_elsewhere() -> None:
    """The uid keeps a run that was deleted and made again from the old one's checkpoints."""
    again = RunPaths("s3://bucket/prefix", "team", "tiny", "76543210-89ab-cdef")
    assert again.root != RUN.root


def test_bytes_of_a_completed_folder() -> None:
    """The sum over its files."""
    files = (FileDigest(path="a", bytes=3, sha256="0" * 64), FileDigest(path="b/c", bytes=4, sha256="1" * 64))
    assert Completion(files=files).total_bytes == 7


@pytest.mark.parametrize("wrong", [{"attempt": 0}, {"attempt": 1, "step": -1}, {"attempt": 1, "extra": 1}])
def test_a_head_that_cannot_be(wrong: dict[str, int]) -> None:
    """Attempts count from 1, steps from 0; an unknown field is another version's."""
    with pytest.raises(ValueError, match="validation error"):
        Head.model_validate(wrong)
