"""A prepared dataset in S3: problems.parquet, report.json and, with validation, validation.parquet.

Whole only with complete.json.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from deepcoder_api.artifacts import DatasetReport
from deepcoder_api.problems import Problem
from deepcoder_data.folders import DamagedError, commit_folder, download_folder, read_completion
from deepcoder_data.store import ObjectStore

PROBLEMS = "problems.parquet"
VALIDATION = "validation.parquet"
REPORT = "report.json"
ROWS_PER_GROUP = 256
JSON_COLUMNS = ("tests", "tolerance", "metadata")
# Tests, tolerance and metadata are JSON: they are of several shapes, and a call's arguments are any JSON value.
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("entry_point", pa.string()),
        pa.field("program_prefix", pa.string()),
        pa.field("tests", pa.large_string(), nullable=False),
        pa.field("tolerance", pa.string()),
        pa.field("checker", pa.string()),
        pa.field("timeout_seconds", pa.float64()),
        pa.field("solution", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)


class DatasetWriter:
    """Writes problems into a folder in their order, a row group at a time. Use as a context manager."""

    def __init__(self, folder: Path, file: str = PROBLEMS) -> None:
        self._writer = pq.ParquetWriter(folder / file, SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def add(self, problem: Problem) -> None:
        """Append one problem."""
        self._rows.append(_row(problem))
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
        self._rows = []


def commit_dataset(store: ObjectStore, folder: Path, uri: str, report: DatasetReport) -> None:
    """Upload what a DatasetWriter left in `folder`, with its report. Raises StoreError; then there is no dataset."""
    (folder / REPORT).write_text(report.model_dump_json(indent=1))
    commit_folder(store, folder, uri, {"problems": str(report.problems)})


def read_report(store: ObjectStore, uri: str) -> DatasetReport | None:
    """The report of a dataset, or None when it was never completed. Raises StoreError, DamagedError."""
    if read_completion(store, uri) is None:
        return None
    try:
        return DatasetReport.model_validate_json(store.get_bytes(f"{uri}/{REPORT}"))
    except ValidationError as error:
        raise DamagedError(f"{uri}/{REPORT} is no report of this version: {error}") from error


def load_problems(store: ObjectStore, uri: str, name: str = PROBLEMS) -> dict[str, Problem]:
    """The problems of a prepared dataset, or those of its file `name`, by their ids, in its order.

    Raises ObjectMissingError when it was never completed, DamagedError when it is not what complete.json says.
    """
    with tempfile.TemporaryDirectory(prefix="deepcoder-dataset-") as temporary:
        file = Path(temporary) / name
        download_folder(store, uri, file, under=name)
        return {problem.id: problem for problem in read_dataset(file, uri, name)}


def read_dataset(file: Path, uri: str, name: str = PROBLEMS) -> Iterator[Problem]:
    """The problems of a local file of a dataset, by row groups. Raises DamagedError, naming `uri` and `name`."""
    try:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                for row in parquet.read_row_group(group).to_pylist():
                    yield _problem(row)
    except (pa.ArrowException, ValidationError, KeyError) as error:
        raise DamagedError(f"{uri}/{name} is no dataset of this version: {error}") from error


def _row(problem: Problem) -> dict[str, Any]:
    row = problem.model_dump(mode="python")
    return row | {name: _json(row[name]) for name in JSON_COLUMNS if row[name] is not None}


def _problem(row: dict[str, Any]) -> Problem:
    parsed = {name: json.loads(row[name]) for name in JSON_COLUMNS if row[name] is not None}
    return Problem.model_validate(row | parsed)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
