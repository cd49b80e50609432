"""Problems out of files, row by row: JSON lines, compressed or not, and Parquet, in every format of formats.py.

A row that cannot be read is a value (BadRow), not an error: whether to go on without it is the reader's decision.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import ProblemFormat as Format
from deepcoder_api.training_run import Window
from deepcoder_data.files import GZIP_MAGIC
from deepcoder_data.folders import DamagedError
from deepcoder_data.formats import FORMATS, RowFormat
from deepcoder_data.parquet_rows import is_parquet, read_parquet
from deepcoder_data.rows import BadRow, LeftOut, RowError, SkippedRow
from deepcoder_data.source_files import local_files
from deepcoder_data.store import ObjectStore

__all__ = ["BadRow", "Format", "SkippedRow", "read_file", "read_problems", "read_rows", "read_source_file"]

MAX_ROW_BYTES = 256 * 1024 * 1024
_CHUNK = 1024 * 1024
_LONGEST_VALUE = 60
_LONGEST_REASON = 500


def read_problems(store: ObjectStore, uri: str, format: Format) -> Iterator[Problem | BadRow]:
    """The problems of the files that `uri` names, in their order.

    Raises StoreError when a file cannot be had, DamagedError when its compression is damaged.
    """
    with local_files(store, uri) as files:
        for file in files:
            yield from read_file(file.path, uri, format, name=file.name)


def read_file(file: Path, uri: str, format: Format, *, name: str = "") -> Iterator[Problem | BadRow]:
    """As `read_problems`, of a file that is here already; `uri` names it in errors, `name` in bad rows."""
    for row in read_source_file(file, uri, format, name=name):
        if not isinstance(row, SkippedRow):
            yield row


def read_source_file(
    file: Path, uri: str, format: Format, window: Window | None = None, *, name: str = ""
) -> Iterator[Problem | BadRow | SkippedRow]:
    """As `read_file`, with the rows that the format or the window leaves out. Empty lines are no rows."""
    given = FORMATS[format]
    for number, row in _raw_rows(file, uri, given):
        read = row if isinstance(row, BadRow) else _problem(given, row, window)
        match read:
            case Problem():
                yield read
            case LeftOut(reason):
                yield SkippedRow(number, reason, name)
            case BadRow():
                yield BadRow(number, read.reason, name)
            case _:
                yield BadRow(number, read, name)


def _raw_rows(file: Path, uri: str, format: RowFormat) -> Iterator[tuple[int, bytes | dict[str, Any] | BadRow]]:
    if is_parquet(file):
        return read_parquet(file, uri, format.columns)
    return read_rows(file, uri)


def read_rows(file: Path, uri: str) -> Iterator[tuple[int, bytes | BadRow]]:
    """Each line that is not empty, with its number counted from 1. Raises DamagedError, which names `uri`."""
    try:
        with _opened(file) as content:
            for number, row in _rows(content):
                if row is None:
                    yield number, BadRow(number, f"longer than {MAX_ROW_BYTES} bytes")
                elif row.strip():
                    yield number, row
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DamagedError(f"{uri}: the gzip file is damaged: {error}") from error


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    with file.open("rb") as raw:
        compressed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        if not compressed:
            yield raw
            return
        with gzip.open(raw) as content:
            yield cast(BinaryIO, content)


def _rows(content: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None in place of one that is too long to be held."""
    number = 0
    while line := content.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) <= MAX_ROW_BYTES:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = content.readline(_CHUNK)
        yield number, None


def _problem(format: RowFormat, row: bytes | dict[str, Any], window: Window | None) -> Problem | LeftOut | str:
    """The problem of a row, or in one line why there is none."""
    try:
        model = format.model
        read = model.model_validate_json(row) if isinstance(row, bytes) else model.model_validate(row)
        return format.problem(read, window)
    except ValidationError as error:
        return _reason(error)
    except RowError as error:
        return " ".join(str(error).split())[:_LONGEST_REASON]


def _reason(error: ValidationError) -> str:
    """The first faults of a row, each with its place and value, on one line."""
    faults = [
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), f"{fault['msg']}{_value(fault)}")))
        for fault in error.errors(include_url=False)[:3]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults)[:_LONGEST_REASON] + (f"; and {more} more" if more else "")


def _value(fault: ErrorDetails) -> str:
    if fault["type"] in ("missing", "json_invalid", "extra_forbidden"):
        return ""
    text = json.dumps(fault["input"], default=str, ensure_ascii=False)
    return f", not {text if len(text) <= _LONGEST_VALUE else f'{text[:_LONGEST_VALUE]}…'}"
