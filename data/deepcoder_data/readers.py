"""Problems out of files, row by row: the project's own schema, and rows of openai/human-eval.

A row that cannot be read is a value (BadRow), not an error: whether to go on without it is the reader's decision.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deepcoder_api.problems import Problem
from deepcoder_data.files import GZIP_MAGIC, local_file
from deepcoder_data.folders import DamagedError
from deepcoder_data.human_eval import human_eval_problem
from deepcoder_data.store import ObjectStore

Format = Literal["jsonl", "humaneval"]
MAX_ROW_BYTES = 256 * 1024 * 1024
_CHUNK = 1024 * 1024
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class BadRow:
    """A row that is no problem: its line, counted from 1, and why."""

    line: int
    reason: str


def read_problems(store: ObjectStore, uri: str, format: Format) -> Iterator[Problem | BadRow]:
    """The rows of a file in their order, empty lines left out. Files compressed with gzip are read too.

    Raises StoreError when the file cannot be had, DamagedError when its compression is damaged.
    """
    with local_file(store, uri) as file:
        yield from read_file(file, uri, format)


def read_file(file: Path, uri: str, format: Format) -> Iterator[Problem | BadRow]:
    """As `read_problems`, of a file that is here already; `uri` names it in errors."""
    parse = _PARSERS[format]
    for number, row in read_rows(file, uri):
        yield row if isinstance(row, BadRow) else _problem(parse, number, row)


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


def _problem(parse: Callable[[bytes], Problem], number: int, row: bytes) -> Problem | BadRow:
    try:
        return parse(row)
    except ValidationError as error:
        return BadRow(number, _reason(error))


def _reason(error: ValidationError) -> str:
    """The first faults of a row, each with its place and value, on one line."""
    faults = [
        ": ".join(filter(None, (".".join(map(str, fault["loc"])), f"{fault['msg']}{_value(fault)}")))
        for fault in error.errors(include_url=False)[:3]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults)[:500] + (f"; and {more} more" if more else "")


def _value(fault: ErrorDetails) -> str:
    if fault["type"] in ("missing", "json_invalid", "extra_forbidden"):
        return ""
    text = json.dumps(fault["input"], default=str, ensure_ascii=False)
    return f", not {text if len(text) <= _LONGEST_VALUE else f'{text[:_LONGEST_VALUE]}…'}"


_PARSERS: dict[Format, Callable[[bytes], Problem]] = {
    "jsonl": Problem.model_validate_json,
    "humaneval": human_eval_problem,
}
