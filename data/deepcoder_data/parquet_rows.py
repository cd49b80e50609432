"""Rows of a Parquet file: of one row group at a time the pages at hand, and of each row only the columns asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from deepcoder_data.folders import DamagedError

MAGIC = b"PAR1"
ROWS_AT_ONCE = 16
BUFFER_BYTES = 1024 * 1024


def is_parquet(file: Path) -> bool:
    """Whether the file begins as Parquet files do, whatever its name is."""
    with file.open("rb") as content:
        return content.read(len(MAGIC)) == MAGIC


def read_parquet(file: Path, uri: str, columns: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row's values of `columns`, those that the file has, with its number counted from 1.

    Raises DamagedError, which names `uri`.
    """
    import pyarrow as pa  # slow to import: every command of the CLI would wait for it
    import pyarrow.parquet as pq

    number = 0
    try:
        # pre_buffer would hold all of a row group's compressed columns.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES) as parquet:
            there = [name for name in parquet.schema_arrow.names if name in columns]
            for group in range(parquet.num_row_groups):
                for batch in parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=there, use_threads=False):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{uri}: the Parquet file is damaged after row {number}: {error}") from error
