"""How far a score may be off by chance: over problems, resampled. Pure; the same numbers give the same intervals."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

RESAMPLES = 4000
LEVEL = 0.95


def bootstrap_interval(shares: Sequence[float], resamples: int = RESAMPLES) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `shares`, one a problem. Raises ValueError without any."""
    if not shares:
        raise ValueError("shares: there are none, so that they have no mean")
    chance = random.Random(len(shares))
    count = len(shares)
    means = sorted(sum(chance.choices(shares, k=count)) / count for _ in range(resamples))
    return means[int(resamples * (1 - LEVEL) / 2)], means[int(resamples * (1 + LEVEL) / 2) - 1]


def sign_flip_p_value(differences: Sequence[float], resamples: int = RESAMPLES) -> float:
    """How often differences of problems would sum to as much by chance, either way: a paired permutation test.

    Exact where there are at most 12 that are not zero, else from `resamples` random choices of signs, with the observed
    one counted among them.
    """
    given = [abs(one) for one in differences if one]
    observed = abs(sum(differences)) - 1e-12
    if not given:
        return 1.0
    if len(given) <= 12:
        sums = [0.0]
        for one in given:
            sums = [total + sign * one for total in sums for sign in (1, -1)]
        return fmean(abs(total) >= observed for total in sums)
    chance = random.Random(len(given))
    hits = 1
    for _ in range(resamples):
        bits = chance.getrandbits(len(given))
        total = sum(one if bits >> place & 1 else -one for place, one in enumerate(given))
        hits += abs(total) >= observed
    return hits / (resamples + 1)
