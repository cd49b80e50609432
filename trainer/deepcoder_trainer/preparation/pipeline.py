"""Rows in, a dataset's file out: in the order of the sources, with a bounded number of solutions running at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource, DataSpec
from deepcoder_data.causes import cause
from deepcoder_data.dataset import DatasetWriter
from deepcoder_data.folders import DamagedError
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.source_files import NamedFile
from deepcoder_data.sources import read_source
from deepcoder_data.termination import PermanentError
from deepcoder_trainer.preparation.selection import UNREADABLE, Tally, drop_reason
from deepcoder_trainer.preparation.verification import Outcome, Verifier

LOG_SECONDS = 10.0
log = structlog.get_logger("prepare")


@dataclass(frozen=True)
class SourceContent:
    """A source of the specification and its files on this machine."""

    source: DataSource
    files: Sequence[NamedFile]


async def select(
    sources: Sequence[SourceContent],
    rules: DataSpec,
    prompt_tokens: Callable[[str], int],
    verifier: Verifier,
    folder: Path,
    *,
    in_flight: int,
) -> Tally:
    """Write the problems that pass every check into `folder` and count the others.

    Memory holds `in_flight` problems and all ids. Raises PermanentError for a damaged file, and
    RetryableError when no sandbox grades.
    """
    tally, taken = Tally(), set[str]()
    pending: deque[tuple[Problem, asyncio.Task[Outcome]]] = deque()
    said = time.monotonic()
    with DatasetWriter(folder) as writer:
        try:
            for problem in _candidates(sources, rules, taken, prompt_tokens, tally):
                pending.append((problem, asyncio.create_task(verifier.verify(problem))))
                if len(pending) >= in_flight:
                    _settle(*await _first(pending), writer, tally)
                if time.monotonic() - said > LOG_SECONDS:
                    said = time.monotonic()
                    log.info("preparing", read=tally.read.total(), kept=tally.kept.total(), dropped=dict(tally.dropped))
            while pending:
                _settle(*await _first(pending), writer, tally)
        finally:
            for _, task in pending:
                task.cancel()
            await asyncio.gather(*(task for _, task in pending), return_exceptions=True)
    return tally


def _candidates(
    sources: Sequence[SourceContent],
    rules: DataSpec,
    taken: set[str],
    prompt_tokens: Callable[[str], int],
    tally: Tally,
) -> Iterator[Problem]:
    """Problems that pass all checks but the run of their solutions; an id counts as taken from then on."""
    for given in sources:
        source = given.source
        for row in _rows(given):
            tally.read[source.name] += 1
            if isinstance(row, SkippedRow):
                tally.drop(row.reason, f"{source.name} {row.place}")
                continue
            if isinstance(row, BadRow):
                tally.drop(UNREADABLE, f"{source.name} {row.place}: {row.reason}")
                log.warning("row cannot be read", source=source.name, place=row.place, reason=row.reason)
                continue
            problem = row.model_copy(update={"source": source.name})
            if reason := drop_reason(problem, rules, taken, prompt_tokens):
                tally.drop(reason, f"{source.name} {problem.id}")
                continue
            taken.add(problem.id)
            yield problem


def _rows(given: SourceContent) -> Iterator[Problem | BadRow | SkippedRow]:
    source = given.source
    try:
        yield from read_source(source, given.files)
    except DamagedError as error:
        said = str(error).removeprefix(f"{source.uri}: ")
        raise PermanentError("Damaged", cause(f"spec.data.sources[{source.name}].uri", source.uri, said)) from error


async def _first(pending: deque[tuple[Problem, asyncio.Task[Outcome]]]) -> tuple[Problem, Outcome]:
    problem, task = pending[0]
    outcome = await task
    pending.popleft()
    return problem, outcome


def _settle(problem: Problem, outcome: Outcome, writer: DatasetWriter, tally: Tally) -> None:
    if outcome.reason is None:
        writer.add(problem)
        tally.keep(problem, verified=outcome.verified)
        return
    tally.drop(outcome.reason, f"{problem.source} {problem.id}: {outcome.detail[:200]}")
    log.warning("dropped", problem=problem.id, reason=outcome.reason, detail=outcome.detail)
