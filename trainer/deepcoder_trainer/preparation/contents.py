"""The files of a source of the specification, read row by row; what is damaged is told by the source's field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource, ProblemSource, ValidationSource
from deepcoder_data.causes import cause
from deepcoder_data.folders import DamagedError
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.source_files import NamedFile
from deepcoder_data.sources import read_source
from deepcoder_data.termination import PermanentError

Field = Literal["sources", "decontaminate", "validation"]
Source = TypeVar("Source", bound=ProblemSource)


@dataclass(frozen=True)
class SourceContent(Generic[Source]):
    """A source and its files on this machine."""

    source: Source
    files: Sequence[NamedFile]


def field_of(field: Field, source: ProblemSource) -> str:
    """The path of a source's URI in the specification."""
    place = "validation.sources" if field == "validation" else f"data.{field}"
    return f"spec.{place}[{source.name}].uri"


def of_source(problem: Problem, source: DataSource | ValidationSource) -> Problem:
    """The problem with its source's name, and the source's time limit where it has none of its own."""
    seconds = source.timeout_seconds if problem.timeout_seconds is None else problem.timeout_seconds
    return problem.model_copy(update={"source": source.name, "timeout_seconds": seconds})


def read_content(field: Field, content: SourceContent[Source]) -> Iterator[Problem | BadRow | SkippedRow]:
    """Every row. Raises PermanentError that names the field of a damaged file."""
    source = content.source
    try:
        yield from read_source(source, content.files)
    except DamagedError as error:
        said = str(error).removeprefix(f"{source.uri}: ")
        raise PermanentError("Damaged", cause(field_of(field, source), source.uri, said)) from error
