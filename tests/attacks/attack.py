"""What an attack is, the suites that attacks are graded by, and when one counts as contained. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from deepcoder_api.grading import GradeResult, Limits, Verdict
from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest, TestSuite

AttackClass = Literal["resources", "timeout-evasion", "exit-tricks", "reward-hacking", "escape"]
Kind = Literal[
    "stdin", "function", "assertion", "assertion in a loop", "function of flags",
    "secret stdin", "secret function", "secret assertion",
]  # fmt: skip
THREE_KINDS: tuple[Kind, ...] = ("stdin", "function", "assertion")
CALLED_KINDS: tuple[Kind, ...] = ("function", "assertion")
SECRET_KINDS: tuple[Kind, ...] = ("secret stdin", "secret function", "secret assertion")

# Long enough for an attack to succeed, were it possible; and short where the clock is meant to end it.
WORK_SECONDS, HANG_SECONDS = 8.0, 2.0
SLACK_SECONDS = 6.0
LIMITS = Limits(timeout_seconds=WORK_SECONDS, memory_mib=256, output_mib=1, processes=16)
HONEST_PROGRAM = "print(2 * int(input()))"
# What no program can work out: it can only be found where it must not be.
NEEDLE = "NEEDLE-" + hashlib.sha256(b"what only the grader knows").hexdigest()[:8]
_CHECK = "def check(candidate):\n    for n in range(9): assert candidate(n) == n * 77\n"
_LOOP = "def check(candidate):\n    for got, n in zip(map(candidate, range(9)), range(9)): assert got == n * 77\n"
_SECRET_CHECK = f"def check(candidate):\n    assert candidate() == {NEEDLE!r}\n"

SUITES: dict[Kind, TestSuite] = {
    "stdin": TestSuite(tests=tuple(StdinTest(input=f"{n}\n", output=f"{2 * n}\n") for n in (7, 12, 40))),
    "function": TestSuite(
        entry_point="f", tests=tuple(FunctionTest(arguments=[n], expected=n * 77) for n in (3, 4, 5))
    ),
    "assertion": TestSuite(entry_point="f", tests=(AssertionTest(code=_CHECK),)),
    "assertion in a loop": TestSuite(entry_point="f", tests=(AssertionTest(code=_LOOP),)),
    "function of flags": TestSuite(
        entry_point="f", tests=tuple(FunctionTest(arguments=[n], expected=n) for n in (1, 0))
    ),
    "secret stdin": TestSuite(tests=(StdinTest(input="", output=NEEDLE),)),
    "secret function": TestSuite(entry_point="f", tests=(FunctionTest(arguments=[], expected=NEEDLE),)),
    "secret assertion": TestSuite(entry_point="f", tests=(AssertionTest(code=_SECRET_CHECK),)),
}
# `won()` is what an attack calls once it has what it wants: it gives the right answer, so that success shows as an
# accepted test, and ends the attack. `gave(text)` does the same with a text that was found.
_FOR_STDIN = """\
import os
def gave(text):
    print(text, flush=True)
    os._exit(0)
def won(): gave(2 * int(input()))
"""
_FOR_CALLS = """\
class Won(BaseException): pass
def f(*a): return None
def won():
    global f
    def f(n): return n * 77
    raise Won
def gave(text):
    global f
    def f(): return text
    raise Won
try: exec({body!r})
except Won: pass
"""


@dataclass(frozen=True)
class Attack:
    """One program. It is contained when no test of its suite is accepted and nothing of it is left.

    `hangs`: only the clock ends it. `all_tests`: each test is run, for what one leaves to the next.
    `only_isolated`: what it wants is there on a bare machine, and not in a pod.
    """

    attack_class: AttackClass
    name: str
    why: str
    body: str
    kind: Kind = "stdin"
    hangs: bool = False
    all_tests: bool = False
    only_isolated: bool = False

    @property
    def suite(self) -> TestSuite:
        """The tests that it must not pass."""
        return SUITES[self.kind]

    @property
    def program(self) -> str:
        """The text that is graded."""
        if "won()" not in self.body and "gave(" not in self.body:
            return self.body
        return _FOR_STDIN + self.body if self.kind in ("stdin", "secret stdin") else _FOR_CALLS.format(body=self.body)

    @property
    def limits(self) -> Limits:
        """What it may use."""
        return LIMITS.model_copy(update={"timeout_seconds": HANG_SECONDS}) if self.hangs else LIMITS

    @property
    def bound_seconds(self) -> float:
        """How long its grade may take."""
        tests = len(self.suite.tests) if self.all_tests else 1
        return self.limits.timeout_seconds * tests + SLACK_SECONDS


def in_kinds(kinds: Iterable[Kind], attack: Attack) -> tuple[Attack, ...]:
    """The same program against tests of several kinds."""
    return tuple(replace(attack, name=f"{attack.name} ({kind})", kind=kind) for kind in kinds)


def breach(attack: Attack, result: GradeResult, seconds: float) -> str:
    """Why the attack is not contained by its grade alone; empty when it is."""
    if result.verdict is Verdict.INTERNAL_ERROR:
        return f"the grader failed: {result.detail}"
    passed = [number for number, test in enumerate(result.tests, start=1) if test.verdict is Verdict.ACCEPTED]
    if passed or result.accepted:
        return f"accepted: test {', '.join(map(str, passed))}"
    if seconds > attack.bound_seconds:
        return f"its grade took {seconds:.1f} s, more than {attack.bound_seconds:.0f} s"
    return ""
