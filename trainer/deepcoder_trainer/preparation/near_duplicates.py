"""Finding a statement's nearest among many, without comparing it with all: MinHash and locality-sensitive hashing.

MinHash only proposes; what it proposes is compared exactly, so nothing below the threshold is ever found. What is at
the threshold is missed with a chance of at most MISSED, what is above it with less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from datasketch import MinHash, MinHashLSH

from deepcoder_trainer.preparation.similarity import Shingles, jaccard, shingles

PERMUTATIONS = 128
MISSED = 1e-3
_EMPTY = MinHash(num_perm=PERMUTATIONS, scheme="affine32", hashfunc=int)  # shingles are hashes already


@dataclass(frozen=True)
class Statement:
    """What is compared of a text: its n-grams, and their MinHash."""

    shingles: Shingles
    signature: MinHash


def statement_of(text: str) -> Statement:
    """The text as an index takes it."""
    grams = shingles(text)
    signature = _EMPTY.copy()
    signature.update_batch((grams & 0xFFFFFFFF).tolist())
    return Statement(grams, signature)


@dataclass(frozen=True)
class Near:
    """A statement that is at least as near as the threshold says."""

    name: str
    similarity: float


class StatementIndex:
    """Statements by name, to be asked for the one that is nearest to another. Memory: about 10 kB a statement."""

    def __init__(self, threshold: float) -> None:
        """`threshold` is a Jaccard similarity, above 0 and at most 1."""
        self._threshold = threshold
        self._lsh = MinHashLSH(num_perm=PERMUTATIONS, params=bands_and_rows(threshold))
        self._statements: list[tuple[str, Shingles]] = []

    def __len__(self) -> int:
        return len(self._statements)

    def add(self, name: str, statement: Statement) -> None:
        """Take a statement in."""
        self._lsh.insert(len(self._statements), statement.signature, check_duplication=False)
        self._statements.append((name, statement.shingles))

    def nearest(self, statement: Statement) -> Near | None:
        """The nearest that is not below the threshold, of equally near ones the first that was added."""
        own, found = statement.shingles, None
        for place in sorted(cast("list[int]", self._lsh.query(statement.signature))):
            name, other = self._statements[place]
            if min(own.size, other.size) < self._threshold * max(own.size, other.size):
                continue
            similarity = jaccard(own, other)
            if similarity >= self._threshold and (found is None or similarity > found.similarity):
                found = Near(name, similarity)
        return found


def bands_and_rows(threshold: float) -> tuple[int, int]:
    """How many bands of how many rows a signature is cut into: the longest that miss a pair at `threshold` by MISSED.

    A pair of similarity s shares no band with probability (1 - s^rows)^bands (Mining of Massive Datasets, 3.4.2).
    """
    for rows in range(PERMUTATIONS // 2, 0, -1):
        bands = PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= MISSED:
            return bands, rows
    return PERMUTATIONS, 1
