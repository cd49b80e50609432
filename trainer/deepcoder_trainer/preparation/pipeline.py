"""Rows in, a dataset's file out: in the order of the sources, a bounded number of solutions and answers under way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from deepcoder_api.difficulty_spec import Difficulty
from deepcoder_api.training_run import DataSource
from deepcoder_data.dataset import DatasetWriter
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_trainer.preparation.contents import SourceContent, of_source, read_content
from deepcoder_trainer.preparation.keeping import Keeper
from deepcoder_trainer.preparation.rating import Rater
from deepcoder_trainer.preparation.selection import Candidate, Selection
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
    difficulty: Difficulty | None = None,
    rater: Rater | None = None,
) -> Tally:
    """Write the problems that pass every check into `folder` and count the others.

    Memory holds `in_flight` problems, those being rated, all ids, and what `selection` remembers of statements. Raises
    PermanentError for a damaged file, RetryableError when no sandbox grades or no rollout server answers.
    """
    tally = Tally()
    pending: deque[Pending] = deque()
    said = time.monotonic()
    with DatasetWriter(folder) as writer:
        keeper = Keeper(writer, tally, difficulty, rater)
        try:
            for candidate in _candidates(contents, selection, tally):
                # Reading waits for nothing: whoever answers, grades or reports meanwhile must be heard in between.
                await asyncio.sleep(0)
                if candidate is None:
                    continue
                pending.append(_begun(candidate, selection, verifier))
                if len(pending) >= in_flight:
                    await _settle(*await _first(pending), selection, keeper, tally)
                if time.monotonic() - said > LOG_SECONDS:
                    said = time.monotonic()
                    _say(tally, rater)
            while pending:
                await _settle(*await _first(pending), selection, keeper, tally)
            await _while_saying(keeper.finish(), tally, rater)
            if rater:
                log.info("rated", sampled=rater.sampled, sampled_before=rater.found)
        finally:
            await keeper.close()
            tasks = [outcome for _, outcome in pending if isinstance(outcome, asyncio.Task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return tally


def _candidates(
    contents: Sequence[SourceContent[DataSource]], selection: Selection, tally: Tally
) -> Iterator[Candidate | None]:
    """Problems that pass all checks but that against the dataset so far and those that run code. None: a row less."""
    for given in contents:
        source = given.source
        for row in read_content("sources", given):
            tally.sources[source.name].read += 1
            if isinstance(row, SkippedRow):
                tally.drop(source.name, row.reason, row.place)
                yield None
                continue
            if isinstance(row, BadRow):
                tally.drop(source.name, UNREADABLE, f"{row.place}: {row.reason}")
                log.warning("row cannot be read", source=source.name, place=row.place, reason=row.reason)
                yield None
                continue
            problem = of_source(row, source)
            examined = selection.examine(problem)
            if isinstance(examined, Candidate):
                yield examined
            else:
                tally.refuse(problem, examined)
                yield None


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


async def _settle(
    candidate: Candidate, outcome: Outcome, selection: Selection, keeper: Keeper, tally: Tally
) -> None:  # fmt: skip
    """Keep or drop a candidate, in the order of the sources.

    What was taken while its solution ran may be near to it, or nearer than what was there before. So that is asked
    anew, and before how its solution fared: what is reported does not depend on what ran beside it.
    """
    problem = candidate.problem
    if refusal := selection.repeats(candidate):
        tally.refuse(problem, refusal)
        return
    if refusal := outcome.refusal:
        tally.refuse(problem, refusal)
        log.warning("dropped", problem=problem.id, reason=refusal.reason, detail=refusal.detail)
        return
    # It counts as taken however hard it is: what is near to it is as hard, and need not be asked.
    selection.take(candidate)
    await keeper.keep(candidate, verified=outcome.verified)


async def _while_saying(work: Coroutine[Any, Any, None], tally: Tally, rater: Rater | None) -> None:
    """Log now and then where the preparation is, while `work` goes on."""
    working = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({working}, timeout=LOG_SECONDS))[0]:
            _say(tally, rater)
        working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _say(tally: Tally, rater: Rater | None) -> None:
    rated = {"sampled": rater.sampled, "sampled_before": rater.found} if rater else {}
    log.info("preparing", read=tally.read, kept=tally.kept, dropped=dict(tally.dropped), **rated)
