"""Whether a problem's tests agree with each other, and which of them say something new. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from deepcoder_api.problems import AssertionTest, FunctionTest, MathTest, Problem, StdinTest, Test, canonical_json
from deepcoder_sandbox.comparators.registry import comparator


def distinct_tests(tests: Iterable[Test]) -> tuple[Test, ...]:
    """The tests in their order, each once: two are the same when they are equal as JSON."""
    found: dict[bytes, Test] = {}
    for test in tests:
        found.setdefault(hashlib.sha256(canonical_json(test).encode()).digest(), test)
    return tuple(found.values())


def contradiction(problem: Problem) -> str | None:
    """The first two tests with the same input that ask for different outputs, as one line for people; None without.

    Outputs differ when neither would pass for the other under the profile `strict` and the problem's own tolerance. A
    problem with a checker has several right answers, assertions state no output, and equal values may be written in
    many ways: none of them can be told to contradict.
    """
    if problem.checker is not None:
        return None
    rules = comparator("strict", problem.tolerance)
    first: dict[tuple[str, str], tuple[int, StdinTest | FunctionTest]] = {}
    for number, test in enumerate(problem.tests, 1):
        if isinstance(test, AssertionTest | MathTest):
            continue
        earlier, seen = first.setdefault((test.kind, _input(test)), (number, test))
        match seen, test:
            case StdinTest(), StdinTest():
                agree, left, right = rules.stdout_matches, seen.output, test.output
            case FunctionTest(), FunctionTest():
                agree, left, right = rules.values_equal, seen.expected, test.expected
            case _:
                raise AssertionError("tests of one key are of one kind")
        if not agree(left, right) and not agree(right, left):
            return f"tests {earlier} and {number} have the same input and expect {_short(left)} and {_short(right)}"
    return None


def _input(test: StdinTest | FunctionTest) -> str:
    return test.input if isinstance(test, StdinTest) else json.dumps(test.arguments, sort_keys=True)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
