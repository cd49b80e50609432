"""The programs of the load: a fixed number of honest ones and every hostile one, drawn in a fixed proportion."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.sandbox_load.honest_programs import honest_samples
from benchmarks.sandbox_load.hostile_programs import hostile_samples
from benchmarks.sandbox_load.sample import Sample

SEED = 20251
HOSTILE_SHARE = 0.05


@dataclass(frozen=True)
class Corpus:
    """Every distinct program, each under a name of its own."""

    honest: tuple[Sample, ...]
    hostile: tuple[Sample, ...]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All of them."""
        return (*self.honest, *self.hostile)

    def draw(self, seed: str) -> Iterator[Sample]:
        """Programs without end, HOSTILE_SHARE of them hostile. Equal seeds give equal programs."""
        chance = random.Random(seed)
        while True:
            yield chance.choice(self.hostile if chance.random() < HOSTILE_SHARE else self.honest)


def make_corpus(rounds: int, seed: int = SEED) -> Corpus:
    """`rounds` problems of each kind, with a right and several wrong programs each, and all hostile programs."""
    chance = random.Random(seed)
    honest = tuple(sample for number in range(rounds) for sample in honest_samples(number, chance))
    return Corpus(honest, tuple(hostile_samples()))
