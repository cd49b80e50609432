"""The rule of DeepCoder's training, said once more in another way: by numpy's isclose and by what may stand where."""

from __future__ import annotations

import re
from itertools import zip_longest

import numpy as np
from hypothesis import example, given, settings

from deepcoder_sandbox.comparators.rllm_release import stdout_matches, values_equal
from tests.comparison_values import json_values, returned_values, texts
from tests.unit.sandbox.test_sandbox_comparators_lcb_v5 import python_form

NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?")
MISSING = object()


def apart(pair: tuple[object, object]) -> bool:
    """Whether two words at one place make an output wrong: one is missing, or both are numbers and not close."""
    expected, actual = pair
    if not isinstance(expected, str) or not isinstance(actual, str):
        return True
    if expected == actual or not NUMBER.fullmatch(expected) or not NUMBER.fullmatch(actual):
        return False
    return not np.isclose(float(actual), float(expected))


def word_by_word(expected: str, actual: str) -> bool:
    """Every word has a counterpart in its line, and no pair is apart."""
    rows = [[re.findall(r"\S+", line) for line in re.findall(r".*\S.*", text)] for text in (expected, actual)]
    lines = list(zip_longest(*rows, fillvalue=None))
    if None in (part for line in lines for part in line):
        return False
    return not any(apart(pair) for line in lines for pair in zip_longest(*line, fillvalue=MISSING))


def character_by_line(expected: str, actual: str) -> bool:
    """As many digits are printed, with nothing between them, as lines are expected, each close to its line's number."""
    lines = [line.strip() for line in expected.split("\n") if line]
    printed = re.sub(r"\n+\Z", "", actual)
    if not printed.isdigit() or not all(map(NUMBER.fullmatch, lines)) or len(lines) != len(printed):
        return False
    return bool(np.allclose([float(digit) for digit in printed], [float(line) for line in lines]))


def set_of_sets(expected: str, actual: str) -> bool:
    """The words printed, each as its characters, are the expected lines, each as its words; or so when rounded."""
    lines = [line.split() for line in expected.split("\n") if line]
    words = [list(word) for word in actual.split()]
    if sorted({tuple(sorted(set(line))) for line in lines}) == sorted({tuple(sorted(set(word))) for word in words}):
        return True
    if not all(NUMBER.fullmatch(word) for part in (*lines, *words) for word in part):
        return False
    rounded = [{tuple(np.unique(np.round(np.array(part, dtype=float), 3))) for part in side} for side in (lines, words)]
    return rounded[0] == rounded[1]


@given(texts, texts)
@example("1\n2", "2\n1")
@example("1\n2\n", "12")
@example("1.0002 2\n3", "21 3")
@settings(deadline=None, max_examples=300)
def test_rule_for_output(expected, actual):
    """A text passes exactly when it does word by word, as digits for lines, or as a set of sets."""
    passes = (
        expected.strip() == actual.strip()
        or word_by_word(expected, actual)
        or character_by_line(expected, actual)
        or set_of_sets(expected, actual)
    )
    assert stdout_matches(expected, actual) == passes


@given(json_values, returned_values)
@settings(deadline=None, max_examples=300)
def test_rule_for_values(expected, actual):
    """A value passes when Python finds it equal to the expected one, or to the first item of an expected list."""
    stated = expected
    wrapped = isinstance(expected, list) and expected != [] and isinstance(expected[0], dict)
    single = expected[0] if wrapped else expected
    if isinstance(single, dict) and all(key.isdigit() for key in single):
        stated = [{int(key): item for key, item in single.items()}]
    returned = list(actual) if isinstance(actual, tuple) else actual
    allowed = [python_form(stated)]
    given = [python_form(returned)]
    passes = allowed[0] in given
    if isinstance(stated, list) and stated:
        tuples = isinstance(returned, list) and returned != [] and isinstance(returned[0], tuple)
        if tuples and all(isinstance(item, list | tuple | str | dict) for item in returned):
            given.append(python_form([list(item) for item in returned]))
        passes = passes or python_form(stated[0]) in given
    assert values_equal(expected, actual) == passes


def test_carriage_returns_end_lines_of_what_is_printed():
    """The harness reads a program's output as text."""
    assert stdout_matches("1\n5", "1\r5\r\n")
    assert not stdout_matches("1\r5", "1 6")
