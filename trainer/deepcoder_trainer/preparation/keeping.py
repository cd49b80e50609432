"""The last check, how hard a problem is, and the file of what passes: rated side by side, written in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

from deepcoder_api.difficulty_spec import Difficulty
from deepcoder_data.dataset import DatasetWriter
from deepcoder_trainer.preparation.rating import Rater, Rating
from deepcoder_trainer.preparation.selection import Candidate, Refusal
from deepcoder_trainer.preparation.tally import Tally

Answer: TypeAlias = Rating | Refusal | None


class Keeper:
    """Writes candidates that passed every other check, in their order, unless the filter drops them.

    Memory holds twice as many problems as keep the rollout servers busy: a long answer holds up only what is after it.
    """

    def __init__(self, writer: DatasetWriter, tally: Tally, difficulty: Difficulty | None, rater: Rater | None) -> None:
        self._writer = writer
        self._tally = tally
        self._difficulty = difficulty
        self._rater = rater
        self._most = 2 * rater.most if rater else 0
        self._waiting: deque[tuple[Candidate, bool, asyncio.Task[Answer]]] = deque()

    async def keep(self, candidate: Candidate, *, verified: bool) -> None:
        """Take a candidate on. Waits while too many are being rated. Raises what a Rater raises."""
        self._waiting.append((candidate, verified, asyncio.create_task(self._rate(candidate))))
        while self._waiting and (len(self._waiting) > self._most or self._waiting[0][2].done()):
            await self._first()

    async def finish(self) -> None:
        """Wait for what is being rated. Raises what a Rater raises."""
        while self._waiting:
            await self._first()

    async def close(self) -> None:
        """Give up what is being rated."""
        for _, _, task in self._waiting:
            task.cancel()
        await asyncio.gather(*(task for _, _, task in self._waiting), return_exceptions=True)

    async def _rate(self, candidate: Candidate) -> Answer:
        rated = self._difficulty is not None and self._difficulty.rates(candidate.problem.source)
        return await self._rater.rate(candidate.problem) if rated and self._rater else None

    async def _first(self) -> None:
        candidate, verified, task = self._waiting[0]
        answer = await task
        self._waiting.popleft()
        if isinstance(answer, Rating):
            self._tally.rate(answer.accepted, answer.truncated)
        if refusal := answer if isinstance(answer, Refusal) else refusal_of(answer, self._difficulty):
            self._tally.refuse(candidate.problem, refusal)
            return
        self._writer.add(candidate.problem)
        self._tally.keep(candidate, verified=verified)


def refusal_of(rating: Rating | None, difficulty: Difficulty | None) -> Refusal | None:
    """Why a problem that was rated so is not used; None for one that is, or that was not rated."""
    if rating is None or difficulty is None:
        return None
    said = f"{rating.accepted} of {difficulty.samples_per_prompt} answers of the base model were accepted"
    if difficulty.too_hard(rating.accepted):
        return Refusal("too_hard", said)
    return Refusal("too_easy", said) if difficulty.too_easy(rating.accepted) else None
