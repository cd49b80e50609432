"""The file of a prepared dataset."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepcoder_api.problems import Problem
from deepcoder_data import dataset
from deepcoder_data.dataset import PROBLEMS, DatasetWriter, read_dataset
from deepcoder_data.folders import DamagedError
from tests.problem_builders import problem

EVERY_SHAPE = [
    problem("all", entry_point="f", program_prefix="x = 1\n", source="here", metadata={"level": "hard"}),
    problem("bare", solution=None),
    problem("timed", timeout_seconds=2.5),
    problem("near", tolerance={"absolute": 1e-9}, checker="def check(input, output, expected):\n    return True\n"),
    problem(
        "calls", tests=[{"kind": "function", "arguments": [2**70, 0.1, None, {"a": []}], "expected": [[-1.5e300]]}]
    ),
    problem("asserts", tests=[{"kind": "assertion", "code": "def check(f):\n    assert f('π\u2028')"}]),
    problem("text", prompt="\x00\r\n\t𝔘", tests=[{"kind": "stdin", "input": "\u2029", "output": '"\\'}]),
]


def written(folder: Path, problems: list[Problem]) -> Path:
    """A dataset's file of these problems."""
    with DatasetWriter(folder) as writer:
        for one in problems:
            writer.add(one)
    return folder / PROBLEMS


def test_every_kind_of_problem_comes_back_equal_and_in_order(tmp_path: Path) -> None:
    """Nothing is lost: numbers of any size, absent values, text of any script."""
    assert list(read_dataset(written(tmp_path, EVERY_SHAPE), "s3://b/d")) == EVERY_SHAPE


def test_rows_are_cut_into_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader holds one row group, whatever the dataset's size."""
    monkeypatch.setattr(dataset, "ROWS_PER_GROUP", 3)
    problems = [problem(str(index)) for index in range(8)]

    file = written(tmp_path, problems)

    with pq.ParquetFile(file) as parquet:
        assert [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)] == [3, 3, 2]
    assert list(read_dataset(file, "s3://b/d")) == problems


def test_equal_problems_make_equal_bytes(tmp_path: Path) -> None:
    """Two runs that prepare the same dataset at the same time write the same file."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()

    first, second = (written(tmp_path / name, EVERY_SHAPE).read_bytes() for name in ("first", "second"))

    assert first == second


def test_a_file_of_another_kind_is_damaged_not_a_crash(tmp_path: Path) -> None:
    """The error names the dataset."""
    (tmp_path / "text.parquet").write_text("not parquet")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "other.parquet")

    for name in ("text.parquet", "other.parquet"):
        with pytest.raises(DamagedError, match=re.escape(f"s3://b/d/{name}")):
            list(read_dataset(tmp_path / name, "s3://b/d", name))
