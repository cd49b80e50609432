"""The comparator of a profile and of a problem's tolerance: what graders use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepcoder_api.grading import Profile
from deepcoder_api.problems import Tolerance
from deepcoder_sandbox.comparators import lcb_v5, rllm_main, rllm_release, strict
from deepcoder_sandbox.comparators.difference import stdout_difference
from deepcoder_sandbox.comparators.rules import Rules, exact
from deepcoder_sandbox.comparators.tolerance import numbers_near, tolerated

RULES: dict[Profile, Rules] = {
    "strict": strict.RULES,
    "lcb-v5": lcb_v5.RULES,
    "rllm-release": rllm_release.RULES,
    "rllm-main": rllm_main.RULES,
}


@dataclass(frozen=True)
class Comparator:
    """A profile's rules with a problem's tolerance. A tolerance makes more right, never less."""

    rules: Rules
    tolerance: Tolerance | None = None

    def stdout_matches(self, expected: str, actual: str) -> bool:
        """Whether what a program printed is right."""
        if self.rules.stdout_matches(expected, actual):
            return True
        if self.tolerance is None:
            return False
        return self.rules.stdout_matches(expected, tolerated(expected, actual, self.tolerance))

    def values_equal(self, expected: Any, actual: Any) -> bool:
        """Whether what a call returned is right."""
        tolerance = self.tolerance
        if tolerance is None:
            return self.rules.values_equal(expected, actual, exact)
        return self.rules.values_equal(expected, actual, lambda left, right: numbers_near(left, right, tolerance))

    def stdout_difference(self, expected: str, actual: str) -> str:
        """One line for people: where two outputs first differ. Empty when they match."""
        return stdout_difference(self.stdout_matches, expected, actual)


def comparator(profile: Profile, tolerance: Tolerance | None = None) -> Comparator:
    """The comparator of `profile`, for a problem that states `tolerance` or none."""
    return Comparator(RULES[profile], tolerance)
