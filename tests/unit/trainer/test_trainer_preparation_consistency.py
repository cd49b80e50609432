"""Tests of a problem that repeat or contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.preparation.consistency import contradiction, distinct_tests
from tests.problem_builders import problem


def stdin(input: str, output: str) -> dict[str, Any]:
    """A stdin test."""
    return {"kind": "stdin", "input": input, "output": output}


def call(arguments: list[Any], expected: Any) -> dict[str, Any]:
    """A function test."""
    return {"kind": "function", "arguments": arguments, "expected": expected}


def assertion(code: str) -> dict[str, Any]:
    """An assertion test."""
    return {"kind": "assertion", "code": code}


@pytest.mark.parametrize(
    ("tests", "places"),
    [
        ([], []),
        ([stdin("1", "2"), stdin("1", "2")], [0]),
        ([stdin("1", "2"), stdin("2", "4"), stdin("1", "2"), stdin("2", "4")], [0, 1]),
        ([stdin("1", "2"), stdin("1\n", "2")], [0, 1]),
        ([stdin("1", "2"), stdin("1", "2\n")], [0, 1]),
        ([call([{"a": 1, "b": 2}], 3), call([{"b": 2, "a": 1}], 3)], [0]),
        ([call([1], 2), call([1.0], 2), call([True], 2), call(["1"], 2)], [0, 1, 2, 3]),
        ([assertion("assert f()"), assertion("assert f()"), assertion("assert  f()")], [0, 2]),
        ([stdin("[1]", "2"), call([1], 2)], [0, 1]),
    ],
)
def test_a_test_counts_once(tests: list[dict[str, Any]], places: list[int]) -> None:
    """Equal as JSON is equal; what differs in one character of an input or output is another test."""
    given = problem(tests=tests).tests

    assert distinct_tests(given) == tuple(given[place] for place in places)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))))
def test_distinct_tests_are_those_not_seen_before(pairs: list[tuple[str, str]]) -> None:
    """In their order, whatever the order is, and nothing is lost."""
    tests = problem(tests=[stdin(input, output) for input, output in pairs]).tests

    found = [(test.input, test.output) for test in distinct_tests(tests) if test.kind == "stdin"]

    assert found == [pair for place, pair in enumerate(pairs) if pair not in pairs[:place]]


SAME_INPUT = 'tests 1 and 2 have the same input and expect "2" and "3"'


@pytest.mark.parametrize(
    ("tests", "of_problem", "said"),
    [
        ([stdin("1", "2"), stdin("1", "3")], {}, SAME_INPUT),
        ([stdin("1", "2"), stdin("2", "3")], {}, None),
        ([stdin("1", "2"), stdin("1", "2 \n\n")], {}, None),
        ([stdin("1", "2"), stdin("1\n", "3")], {}, None),
        (
            [stdin("0", "0"), stdin("1", "2"), stdin("1", "2"), stdin("1", "4")],
            {},
            'tests 2 and 4 have the same input and expect "2" and "4"',
        ),
        ([stdin("1", "2.0"), stdin("1", "2.001")], {"tolerance": {"absolute": 0.01}}, None),
        (
            [stdin("1", "2.0"), stdin("1", "2.1")],
            {"tolerance": {"absolute": 0.01}},
            'tests 1 and 2 have the same input and expect "2.0" and "2.1"',
        ),
        ([stdin("1", "2"), stdin("1", "3")], {"checker": "def check(input, output, expected): return True"}, None),
        ([call([1, 2], 3), call([1, 2], 4)], {}, "tests 1 and 2 have the same input and expect 3 and 4"),
        ([call([1, 2], 3), call([2, 1], 4)], {}, None),
        ([call([1, 2], 3), call([1, 2], 3.0)], {}, None),
        ([call([1], True), call([1], 1)], {}, "tests 1 and 2 have the same input and expect true and 1"),
        ([call([1], [1, 2]), call([1], [1, 2])], {}, None),
        ([call([1], 2), call([True], 3)], {}, None),
        (
            [call([{"a": 1, "b": 2}], 3), call([{"b": 2, "a": 1}], 4)],
            {},
            "tests 1 and 2 have the same input and expect 3 and 4",
        ),
        ([assertion("assert f() == 1"), assertion("assert f() == 2")], {}, None),
        ([stdin("[1]", "2"), call([1], 3)], {}, None),
        ([stdin("", "x" * 60), stdin("", "")], {}, f'tests 1 and 2 have the same input and expect "{"x" * 39}… and ""'),
    ],
)  # fmt: skip
def test_tests_that_no_program_can_pass_together(
    tests: list[dict[str, Any]], of_problem: dict[str, Any], said: str | None
) -> None:
    """Same input, outputs that neither of them would pass for; the first such pair is named."""
    assert contradiction(problem(tests=tests, **of_problem)) == said


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=8))
def test_a_problem_contradicts_itself_exactly_when_its_tests_are_no_function(pairs: list[tuple[str, str]]) -> None:
    """Written down otherwise: some input has two outputs."""
    given = problem(tests=[stdin(input, output) for input, output in pairs])

    assert (contradiction(given) is not None) == (len(set(pairs)) != len({input for input, _ in pairs}))
