"""Which fault strikes when: a seed gives the same order and the same moments, in shares of a step. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

DELAY_STEPS = 2.0  # a strike falls somewhere in the first two steps after what was struck before has healed


@dataclass(frozen=True)
class Strike:
    """One strike. It waits for the step `not_before`, then for `delay_steps` times the usual length of a step."""

    fault: str
    not_before: int
    delay_steps: float
    choice: int
    """Seeds what the fault itself leaves open, such as which of two ranks is killed."""


def schedule(faults: Sequence[str], rounds: int, seed: int, steps_per_strike: int) -> list[Strike]:
    """Every fault once a round, in an order of the round's own, spread over the steps of the run."""
    dice, strikes = random.Random(seed), list[Strike]()
    for _ in range(rounds):
        for fault in dice.sample(list(faults), len(faults)):
            not_before = 1 + len(strikes) * steps_per_strike
            strikes.append(Strike(fault, not_before, DELAY_STEPS * dice.random(), dice.getrandbits(32)))
    return strikes


def steps_for(strikes: int, steps_per_strike: int) -> int:
    """How long the run must be for all of them, with some undisturbed steps at its end."""
    return 1 + strikes * steps_per_strike + 4
