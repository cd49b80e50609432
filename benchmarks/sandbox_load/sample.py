"""One program of the load, with what is right to say of it."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.problems import TestSuite

# A program that ends is far from its limit on a machine that is overloaded too; one that never ends costs all of its.
LIMITS = Limits(timeout_seconds=10, memory_mib=128, output_mib=1, processes=16)
ENDLESS_LIMITS = LIMITS.model_copy(update={"timeout_seconds": 2.0})


@dataclass(frozen=True)
class Sample:
    """A program, the suite and limits to grade it by, and the verdicts that are right.

    More than one is right where it depends on the machine's pace which bound a program meets first.
    """

    name: str
    suite: TestSuite
    program: str
    verdicts: frozenset[Verdict]
    limits: Limits = LIMITS
    hostile: bool = False
