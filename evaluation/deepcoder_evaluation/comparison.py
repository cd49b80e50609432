"""Two evaluations of the same problems: which flipped, and whether the difference is more than noise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from deepcoder_evaluation.intervals import bootstrap_interval, sign_flip_p_value

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Of the problems that both answered: pass@1 of each, the difference B - A with its 95 % bootstrap interval, the
    p-value of a paired permutation test, and the problems that only one of them solved in most of its answers."""

    problems: int
    only_a: int
    only_b: int
    first: float
    second: float
    interval: tuple[float, float]
    p_value: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def difference(self) -> float:
        """pass@1 of B minus that of A."""
        return self.second - self.first

    @property
    def is_more_than_noise(self) -> bool:
        """Whether a difference as large would come by chance less than once in twenty times."""
        return self.p_value < SIGNIFICANT


def compare(first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    """Compare shares of accepted answers by problem. Raises ValueError when there is no problem that both have."""
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise ValueError("the evaluations have no problem in common")
    differences = [second[id] - first[id] for id in shared]
    return Comparison(
        problems=len(shared),
        only_a=len(first) - len(shared),
        only_b=len(second) - len(shared),
        first=fmean(first[id] for id in shared),
        second=fmean(second[id] for id in shared),
        interval=bootstrap_interval(differences),
        p_value=sign_flip_p_value(differences),
        gained=tuple(id for id in shared if first[id] <= 0.5 < second[id]),
        lost=tuple(id for id in shared if second[id] <= 0.5 < first[id]),
    )
