"""Problems that a run must not train on, and whether a problem is near to one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from deepcoder_api.training_run import DecontaminationSource
from deepcoder_data.causes import cause
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.termination import PermanentError
from deepcoder_trainer.preparation.contents import Field, SourceContent, field_of, read_content
from deepcoder_trainer.preparation.near_duplicates import Statement, StatementIndex, statement_of

log = structlog.get_logger("prepare")


@dataclass(frozen=True)
class Benchmark:
    """The statements of one decontamination source, or of one that is validated with."""

    source: DecontaminationSource
    statements: StatementIndex
    unreadable: int
    field: Field = "decontaminate"

    @property
    def name(self) -> str:
        """What people read: a source of validation may be named as one of data.decontaminate."""
        return self.source.name if self.field == "decontaminate" else f"{self.field} {self.source.name}"


def read_benchmarks(contents: Iterable[SourceContent[DecontaminationSource]]) -> tuple[Benchmark, ...]:
    """All decontamination sources. Raises PermanentError that names the one that is damaged or has no problem."""
    return tuple(_read(given) for given in contents)


def nearest_benchmark(statement: Statement, benchmarks: Sequence[Benchmark]) -> str | None:
    """The first source that has a problem near to the statement, for people; None when there is none."""
    for benchmark in benchmarks:
        if near := benchmark.statements.nearest(statement):
            return f"{near.similarity:.2f} near to {benchmark.name} {near.name}"
    return None


def _read(given: SourceContent[DecontaminationSource]) -> Benchmark:
    source = given.source
    statements, unreadable = StatementIndex(source.similarity), list[BadRow]()
    for row in read_content("decontaminate", given):
        if isinstance(row, BadRow):
            unreadable.append(row)
            log.warning("row cannot be compared with", source=source.name, place=row.place, reason=row.reason)
        elif not isinstance(row, SkippedRow):
            statements.add(row.id, statement_of(row.prompt))
    if not len(statements):
        first = f" ({unreadable[0].place}: {unreadable[0].reason})" if unreadable else ""
        said = f"it has no problem that can be read{first}, so nothing would be compared with it"
        raise PermanentError("DataEmpty", cause(field_of("decontaminate", source), source.uri, said))
    return Benchmark(source, statements, len(unreadable))
