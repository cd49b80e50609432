"""The order in which problems are drawn, and each sample's seed: pure functions of the run's seed. No I/O.

Orders and seeds come from SHA-256, so they are the same on every machine and for every version of every library.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from deepcoder_api.problems import Strict

KEPT_EPOCHS = 4  # a batch may be of two, and what is sampled ahead of one more


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
    """All draws of a run, numbered from 0: every problem once an epoch, in an order of the epoch's own."""

    def __init__(self, problem_ids: Sequence[str], seed: int) -> None:
        """Raises ValueError when there is no problem, or an id comes twice."""
        if not problem_ids:
            raise ValueError("the dataset has no problems; at least one is needed")
        if len(set(problem_ids)) != len(problem_ids):
            twice = next(one for one in problem_ids if list(problem_ids).count(one) > 1)
            raise ValueError(f"problem {twice!r} is in the dataset twice; ids must be unique")
        self._ids = tuple(problem_ids)
        self._order = functools.lru_cache(maxsize=KEPT_EPOCHS)(lambda epoch: epoch_order(self._ids, seed, epoch))
        self._places = functools.lru_cache(maxsize=KEPT_EPOCHS)(
            lambda epoch: {problem: place for place, problem in enumerate(self._order(epoch))}
        )

    def draw(self, number: int) -> Draw:
        """The draw of this number."""
        epoch, place = divmod(number, len(self._ids))
        return Draw(self._order(epoch)[place], epoch)

    def number(self, draw: Draw) -> int:
        """The number of this draw. Raises KeyError for a problem that is not in the dataset."""
        return draw.epoch * len(self._ids) + self._places(draw.epoch)[draw.problem_id]

    def position(self, number: int) -> CursorPosition:
        """Where the draw of this number stands."""
        epoch, taken = divmod(number, len(self._ids))
        return CursorPosition(epoch=epoch, taken=taken)

    def number_at(self, position: CursorPosition) -> int:
        """The number of the draw that stands there. Raises ValueError past the end of an epoch."""
        if position.taken > len(self._ids):
            raise ValueError(f"position {position.taken} is past the {len(self._ids)} problems of an epoch")
        return position.epoch * len(self._ids) + position.taken


def epoch_order(problem_ids: Sequence[str], seed: int, epoch: int) -> list[str]:
    """A permutation of `problem_ids` that depends on the set of them, the seed and the epoch, and on nothing else."""
    return sorted(problem_ids, key=lambda problem: (_digest("order", seed, epoch, problem), problem))


def sample_seed(seed: int, problem_id: str, epoch: int, sample: int) -> int:
    """The sampling seed of one answer, in 0 .. 2^63 - 1: a hash of the run's seed, problem, epoch and sample index."""
    return int.from_bytes(_digest("sample", seed, epoch, problem_id, sample)[:8], "big") >> 1


def _digest(*parts: str | int) -> bytes:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
