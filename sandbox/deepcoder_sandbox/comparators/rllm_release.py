"""The profile `rllm-release`: how DeepCoder's training compared TACO and SYNTHETIC-1 ("primeintellect") rows.

Source: github.com/rllm-org/rllm at 18e446c5 (8 April 2025), rllm/rewards/code_utils/taco.py, `compare_std_results`,
`stripped_string_compare`, `execute_cb_code` and `process_input_output`. A profile knows the kind of a test and not the
row's origin: LiveCodeBench rows were graded by a copy of LiveCodeBench's harness, which is the profile lcb-v5, and
Codeforces rows, used for evaluation only, by rllm/rewards/code_utils/codeforces.py, where outputs must be the same text
or pass the last three checks below.

Standard output passes when any of these holds:
- Both texts are the same, but for white space around them; or both are one number, and close.
- Both have equally many lines that are not blank, with equally many words each, and no two numbers at the same place
  are further apart than close. Any other two words pass: "YES" for "NO", "abc" for "7".
- What is printed is as long, in characters, as the expected text has lines, and each character is a digit close to the
  number on its line: "12" for "1\\n2".
- As a set, the sets of characters of the words printed are the sets of words of the expected lines: "2\\n1" for
  "1\\n2". Or they are so once both are read as numbers and rounded to three places.
Close is numpy's isclose: |actual - expected| <= 1e-8 + 1e-5 |expected|. It is no tolerance that a problem states.

Returned values: Python's `==`, a tuple counting as a list at the top only. Where the expected value is a list, its
first item alone is right too, because APPS states a value in a list of one; compared with that first item, a list that
begins with a tuple is right as lists too. An expected dict, alone or first in a list, has its keys read as ints.
"""

from __future__ import annotations

import math
from typing import Any

from deepcoder_sandbox.comparators.rules import Near, Rules, exact
from deepcoder_sandbox.comparators.values import python_equal

RELATIVE, ABSOLUTE = 1e-5, 1e-8
PLACES = 3


def stdout_matches(expected: str, actual: str) -> bool:
    """Whether any of the checks above passes. Carriage returns end lines: the program's output is read as text."""
    printed = actual.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    if _words_match(expected.strip(), printed.strip()):
        return True
    stated = [line.strip() for line in expected.split("\n") if line]
    return _characters_are_lines(stated, printed) or _sets_match(stated, printed)


def values_equal(expected: Any, actual: Any, near: Near = exact) -> bool:
    """Whether the value or, where a list is expected, its first item is equal."""
    stated = _with_integer_keys(expected)
    returned = list(actual) if isinstance(actual, tuple) else actual
    if python_equal(stated, returned, near):
        return True
    if not isinstance(stated, list) or not stated:
        return False
    return python_equal(stated[0], returned, near) or python_equal(stated[0], _inner_lists(returned), near)


def _words_match(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    wanted, given = _number(expected), _number(actual)
    if wanted is not None and given is not None:
        return _close(wanted, given)
    wanted_rows = [line.split() for line in expected.split("\n") if line.strip()]
    given_rows = [line.split() for line in actual.split("\n") if line.strip()]
    if list(map(len, wanted_rows)) != list(map(len, given_rows)):
        return False
    return all(
        _word_passes(left, right)
        for wanted_row, given_row in zip(wanted_rows, given_rows, strict=True)
        for left, right in zip(wanted_row, given_row, strict=True)
    )


def _word_passes(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    wanted, given = _number(expected), _number(actual)
    return wanted is None or given is None or _close(wanted, given)


def _characters_are_lines(stated: list[str], printed: str) -> bool:
    if len(stated) != len(printed):
        return False
    for line, character in zip(stated, printed, strict=True):
        wanted, given = _number(line), _number(character)
        if wanted is None or given is None or not _close(wanted, given):
            return False
    return True


def _sets_match(stated: list[str], printed: str) -> bool:
    lines, words = {frozenset(line.split()) for line in stated}, set(map(frozenset, printed.split()))
    if lines == words:
        return True
    try:
        return set(map(_rounded, lines)) == set(map(_rounded, words))
    except ValueError:
        return False


def _rounded(words: frozenset[str]) -> frozenset[float]:
    return frozenset(round(float(word), PLACES) for word in words)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _close(expected: float, actual: float) -> bool:
    if expected == actual:
        return True
    return math.isfinite(expected) and abs(actual - expected) <= ABSOLUTE + RELATIVE * abs(expected)


def _with_integer_keys(expected: Any) -> Any:
    """`expected` as the harness takes it: JSON turned its dicts' int keys into text, and a row may hold the value."""
    alone = expected if isinstance(expected, dict) else None
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        alone = expected[0]
    if alone is None:
        return expected
    try:
        return [{int(key): value for key, value in alone.items()}]
    except (ValueError, TypeError):
        return expected


def _inner_lists(returned: Any) -> Any:
    if not isinstance(returned, list) or not returned or not isinstance(returned[0], tuple):
        return returned
    try:
        return [list(item) for item in returned]
    except TypeError:
        return returned


RULES = Rules(stdout_matches, values_equal)
