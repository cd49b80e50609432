"""Parquet files, of which little is held and only what is needed is read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepcoder_api.problems import Problem
from deepcoder_data.folders import DamagedError
from deepcoder_data.parquet_rows import read_parquet
from deepcoder_data.readers import BadRow, read_file
from tests.dataset_rows import taco_row, write_parquet

MIB = 1024 * 1024


def overwrite(file: Path, group: int, column: str) -> None:
    """Fill one column of one row group with zeros, so that whoever reads it fails."""
    metadata = pq.ParquetFile(file).metadata.row_group(group)
    chunk = next(
        metadata.column(index) for index in range(metadata.num_columns)
        if metadata.column(index).path_in_schema == column
    )  # fmt: skip
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    with file.open("r+b") as content:
        content.seek(start)
        content.write(b"\0" * chunk.total_compressed_size)


def test_rows_come_in_order_with_their_numbers(tmp_path: Path) -> None:
    """Over row groups."""
    file = write_parquet(tmp_path / "x.parquet", [{"a": n, "b": -n} for n in range(50)], rows_a_group=7)

    assert list(read_parquet(file, "x", {"a", "no such column"})) == [(n + 1, {"a": n}) for n in range(50)]


def test_columns_that_are_not_needed_are_not_read(tmp_path: Path) -> None:
    """Their bytes may be anything; those of a needed one may not."""
    rows = [{"needed": f"n{n}", "large": "x" * 1000} for n in range(100)]
    file = write_parquet(tmp_path / "x.parquet", rows)
    overwrite(file, 0, "large")

    assert [row["needed"] for _, row in read_parquet(file, "x", {"needed"})] == [f"n{n}" for n in range(100)]

    overwrite(file, 0, "needed")
    with pytest.raises(DamagedError, match="uri: the Parquet file is damaged after row 0: "):
        list(read_parquet(file, "uri", {"needed"}))


def test_a_row_group_is_read_when_it_is_its_turn(tmp_path: Path) -> None:
    """Rows before a damaged row group are there, and the error says after which row."""
    file = write_parquet(tmp_path / "x.parquet", [{"a": f"a{n}"} for n in range(60)], rows_a_group=20)
    overwrite(file, 2, "a")
    seen: list[int] = []

    with pytest.raises(DamagedError, match="damaged after row 40"):
        seen.extend(number for number, _ in read_parquet(file, "x", {"a"}))

    assert seen == list(range(1, 41))


def test_memory_holds_one_row_group_of_the_needed_columns_at_most(tmp_path: Path) -> None:
    """Of 64 MiB in four row groups one is ever held, beside a few rows, whatever the other columns weigh."""
    schema = pa.schema([("needed", pa.string()), ("large", pa.string())])
    file = tmp_path / "x.parquet"
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        for group in range(4):
            rows = [{"needed": f"{group} {n} ".ljust(64 * 1024, "n"), "large": "l" * 1024 * 64} for n in range(256)]
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=256)
    assert file.stat().st_size > 128 * MIB
    before, peak, count = pa.total_allocated_bytes(), 0, 0

    for _ in read_parquet(file, "x", {"needed"}):
        peak, count = max(peak, pa.total_allocated_bytes() - before), count + 1

    assert count == 1024
    assert peak < 20 * MIB, f"{peak / MIB:.1f} MiB of Arrow's memory"


def test_a_table_without_the_columns_has_bad_rows(tmp_path: Path) -> None:
    """As lines of JSON without the fields have."""
    file = write_parquet(tmp_path / "x.parquet", [{"a": 1}, {"a": 2}])

    first, second = list(read_file(file, "x", "taco"))

    assert isinstance(first, BadRow)
    assert isinstance(second, BadRow)
    assert (first.line, second.line) == (1, 2)
    assert "question: Field required" in first.reason


def test_a_table_is_known_by_what_it_holds(tmp_path: Path) -> None:
    """Not by its name."""
    file = write_parquet(tmp_path / "rows.jsonl", [taco_row()])

    (problem,) = read_file(file, "x", "taco")

    assert isinstance(problem, Problem)


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"x" * 100, b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_file_that_only_begins_so_is_damaged(tmp_path: Path, content: bytes) -> None:
    """The error names the source's URI."""
    file = tmp_path / "x.parquet"
    file.write_bytes(content)

    with pytest.raises(DamagedError, match="s3://b/x: the Parquet file is damaged after row 0"):
        list(read_file(file, "s3://b/x", "taco"))
