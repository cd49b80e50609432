"""The corpus of attacks is whole, and success of any kind shows."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import GradeResult, TestResult, Verdict
from tests.attacks import ATTACKS
from tests.attacks.attack import Attack, breach

ATTACK = Attack("escape", "any", "for this test", "pass\n")
WRONG, RIGHT = TestResult(verdict=Verdict.WRONG_ANSWER), TestResult(verdict=Verdict.ACCEPTED)


def test_every_attack_has_a_name_of_its_own_and_every_class_has_many():
    """At least ten of each class, so that no file was left out."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    for name in ("resources", "timeout-evasion", "exit-tricks", "reward-hacking", "escape"):
        assert sum(attack.attack_class == name for attack in ATTACKS) >= 10


@pytest.mark.parametrize(
    ("verdict", "tests", "seconds", "said"),
    [
        (Verdict.WRONG_ANSWER, (WRONG,), 1.0, ""),
        (Verdict.ACCEPTED, (RIGHT, RIGHT), 1.0, "accepted: test 1, 2"),
        (Verdict.WRONG_ANSWER, (WRONG, RIGHT), 1.0, "accepted: test 2"),
        (Verdict.INTERNAL_ERROR, (), 1.0, "the grader failed: "),
        (Verdict.TIME_LIMIT, (), 99.0, "its grade took 99.0 s, more than 14 s"),
    ],
)
def test_any_success_is_a_breach(verdict, tests, seconds, said):
    """One accepted test is enough; so is a grade that fails or comes late."""
    assert breach(ATTACK, GradeResult(id="x", verdict=verdict, tests=tests), seconds) == said
