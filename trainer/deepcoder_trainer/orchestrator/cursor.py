"""The order in which problems are drawn, and each sample's seed: pure functions of the run's seed. No I/O.

Orders and seeds come from SHA-256, so they are the same on every machine and for every version of every library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from deepcoder_api.problems import Strict


class CursorPosition(Strict):
    """How far the cursor is: `taken` problems of `epoch` (counted from 0) have been drawn. Saved in checkpoints."""

    epoch: int = Field(default=0, ge=0)
    taken: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Draw:
    """One problem drawn in one epoch."""

    problem_id: str
    epoch: int


class Cursor:
    """Draws every problem once an epoch, in an order of the epoch's own. A draw may cross into the next epoch."""

    def __init__(self, problem_ids: Sequence[str], seed: int, position: CursorPosition | None = None) -> None:
        """Raises ValueError when there is no problem, an id comes twice, or the position is past the epoch's end."""
        if not problem_ids:
            raise ValueError("the dataset has no problems; at least one is needed")
        if len(set(problem_ids)) != len(problem_ids):
            twice = next(one for one in problem_ids if list(problem_ids).count(one) > 1)
            raise ValueError(f"problem {twice!r} is in the dataset twice; ids must be unique")
        self._ids = tuple(problem_ids)
        self._seed = seed
        self._epoch, self._taken = (position.epoch, position.taken) if position else (0, 0)
        if self._taken > len(self._ids):
            raise ValueError(f"position {self._taken} is past the {len(self._ids)} problems of an epoch")
        self._order = epoch_order(self._ids, seed, self._epoch)

    @property
    def position(self) -> CursorPosition:
        """Where the next draw starts."""
        return CursorPosition(epoch=self._epoch, taken=self._taken)

    def take(self, count: int) -> list[Draw]:
        """The next `count` problems, in order; the position moves past them."""
        drawn: list[Draw] = []
        while len(drawn) < count:
            if self._taken == len(self._ids):
                self._epoch, self._taken = self._epoch + 1, 0
                self._order = epoch_order(self._ids, self._seed, self._epoch)
            part = self._order[self._taken : self._taken + count - len(drawn)]
            drawn += [Draw(problem, self._epoch) for problem in part]
            self._taken += len(part)
        return drawn


def epoch_order(problem_ids: Sequence[str], seed: int, epoch: int) -> list[str]:
    """A permutation of `problem_ids` that depends on the set of them, the seed and the epoch, and on nothing else."""
    return sorted(problem_ids, key=lambda problem: (_digest("order", seed, epoch, problem), problem))


def sample_seed(seed: int, problem_id: str, epoch: int, sample: int) -> int:
    """The sampling seed of one answer, in 0 .. 2^63 - 1: a hash of the run's seed, problem, epoch and sample index."""
    return int.from_bytes(_digest("sample", seed, epoch, problem_id, sample)[:8], "big") >> 1


def _digest(*parts: str | int) -> bytes:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
