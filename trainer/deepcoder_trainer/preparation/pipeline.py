"""Rows in, a dataset's file out: in the order of the sources, with a bounded number of solutions running at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import structlog

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource
from deepcoder_data.dataset import DatasetWriter
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_trainer.preparation.contents import SourceContent, read_content
from deepcoder_trainer.preparation.selection import Candidate, Refusal, Selection
from deepcoder_trainer.preparation.tally import Tally
from deepcoder_trainer.preparation.verification import Outcome, Verifier

UNREADABLE = "unreadable_row"
LOG_SECONDS = 10.0
Pending: TypeAlias = tuple[Candidate, "asyncio.Task[Outcome] | Outcome"]
log = structlog.get_logger("prepare")


async def select(
    contents: Sequence[SourceContent[DataSource]],
    selection: Selection,
    verifier: Verifier,
    folder: Path,
    *,
    in_flight: int,
) -> Tally:
    """Write the problems that pass every check into `folder` and count the others.

    Memory holds `in_flight` problems, all ids, and what `selection` remembers of statements. Raises PermanentError for
    a damaged file, and RetryableError when no sandbox grades.
    """
    tally = Tally()
    pending: deque[Pending] = deque()
    said = time.monotonic()
    with DatasetWriter(folder) as writer:
        try:
            for candidate in _candidates(contents, selection, tally):
                pending.append(_begun(candidate, selection, verifier))
                if len(pending) >= in_flight:
                    _settle(*await _first(pending), selection, writer, tally)
                if time.monotonic() - said > LOG_SECONDS:
                    said = time.monotonic()
                    log.info("preparing", read=tally.read, kept=tally.kept, dropped=dict(tally.dropped))
            while pending:
                _settle(*await _first(pending), selection, writer, tally)
        finally:
            tasks = [outcome for _, outcome in pending if isinstance(outcome, asyncio.Task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return tally


def _candidates(
    contents: Sequence[SourceContent[DataSource]], selection: Selection, tally: Tally
) -> Iterator[Candidate]:
    """Problems that pass all checks but two: against what is in the dataset by then, and the run of their solutions."""
    for given in contents:
        source = given.source
        for row in read_content("sources", given):
            tally.sources[source.name].read += 1
            if isinstance(row, SkippedRow):
                tally.drop(source.name, row.reason, row.place)
                continue
            if isinstance(row, BadRow):
                tally.drop(source.name, UNREADABLE, f"{row.place}: {row.reason}")
                log.warning("row cannot be read", source=source.name, place=row.place, reason=row.reason)
                continue
            problem = row.model_copy(update={"source": source.name})
            examined = selection.examine(problem)
            if isinstance(examined, Candidate):
                yield examined
            else:
                _drop(problem, examined, tally)


def _begun(candidate: Candidate, selection: Selection, verifier: Verifier) -> Pending:
    """The solution of what repeats a problem of the dataset is not run."""
    if refusal := selection.repeats(candidate):
        return candidate, Outcome(refusal=refusal)
    return candidate, asyncio.create_task(verifier.verify(candidate.problem))


async def _first(pending: deque[Pending]) -> tuple[Candidate, Outcome]:
    candidate, outcome = pending[0]
    if isinstance(outcome, asyncio.Task):
        outcome = await outcome
    pending.popleft()
    return candidate, outcome


def _settle(candidate: Candidate, outcome: Outcome, selection: Selection, writer: DatasetWriter, tally: Tally) -> None:
    """Keep or drop a candidate, in the order of the sources.

    What was taken while its solution ran may be near to it, or nearer than what was there before. So that is asked
    anew, and before how its solution fared: what is reported does not depend on what ran beside it.
    """
    problem = candidate.problem
    if refusal := selection.repeats(candidate):
        _drop(problem, refusal, tally)
        return
    if refusal := outcome.refusal:
        _drop(problem, refusal, tally)
        log.warning("dropped", problem=problem.id, reason=refusal.reason, detail=refusal.detail)
        return
    selection.take(candidate)
    writer.add(problem)
    tally.keep(candidate, verified=outcome.verified)


def _drop(problem: Problem, refusal: Refusal, tally: Tally) -> None:
    said = f"{problem.id}: {refusal.detail}" if refusal.detail else problem.id
    tally.drop(problem.source, refusal.reason, said)
