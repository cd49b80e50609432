"""Two evaluations of the same problems: which flipped, and whether the difference is more than noise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_evaluation.intervals import bootstrap_interval, sign_flip_p_value

SIGNIFICANT = 0.05
SOLVED = 0.5
"""A problem counts as solved by more than this share of its answers."""
Flip = Literal["both", "gained", "lost", "neither"]
"""Who solved a problem: both, the second alone, the first alone, neither."""


@dataclass(frozen=True)
class Comparison:
    """Of the problems that both answered: pass@1 of each and the difference B - A, with their 95 % bootstrap intervals,
    the p-value of a paired permutation test, the problems that only one of them solved in most of its answers, and how
    many both solved, or neither."""

    problems: int
    only_a: int
    only_b: int
    first: float
    second: float
    first_interval: tuple[float, float]
    second_interval: tuple[float, float]
    interval: tuple[float, float]
    p_value: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    both: int
    neither: int

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
    by_flip: dict[Flip, list[str]] = {"both": [], "gained": [], "lost": [], "neither": []}
    for id in shared:
        by_flip[flip(first[id], second[id])].append(id)
    return Comparison(
        problems=len(shared),
        only_a=len(first) - len(shared),
        only_b=len(second) - len(shared),
        first=fmean(first[id] for id in shared),
        second=fmean(second[id] for id in shared),
        first_interval=bootstrap_interval([first[id] for id in shared]),
        second_interval=bootstrap_interval([second[id] for id in shared]),
        interval=bootstrap_interval(differences),
        p_value=sign_flip_p_value(differences),
        gained=tuple(by_flip["gained"]),
        lost=tuple(by_flip["lost"]),
        both=len(by_flip["both"]),
        neither=len(by_flip["neither"]),
    )


def flip(first: float, second: float) -> Flip:
    """Who solved a problem, by the share of each one's answers that were accepted."""
    if first > SOLVED:
        return "both" if second > SOLVED else "lost"
    return "gained" if second > SOLVED else "neither"


def differences(first: EvaluationReport, second: EvaluationReport) -> list[str]:
    """What besides the model differs, which may be why the scores do."""
    pairs = {
        "sampling": (first.sampling, second.sampling),
        "grading profile": (first.grader.profile, second.grader.profile),
        "grading limits": (first.grader.limits, second.grader.limits),
        "engine": ((first.engine.kind, first.engine.version), (second.engine.kind, second.engine.version)),
    }
    said = [f"not only the model differs: {name}" for name, (a, b) in pairs.items() if a != b]
    digests = {one.name: one.problems_sha256 for one in first.benchmarks}
    said += [
        f"{one.name}: the problems or their tests are not the same in both"
        for one in second.benchmarks
        if digests.get(one.name, one.problems_sha256) != one.problems_sha256
    ]
    return said
