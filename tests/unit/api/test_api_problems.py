"""Problems, tests and the hash that graders know them by."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic import ValidationError

from deepcoder_api.problems import AssertionTest, FunctionTest, Problem, StdinTest, TestSuite, test_suite

SUITE = TestSuite(
    entry_point="f",
    tests=(
        StdinTest(input="1\n", output="2\n"),
        FunctionTest(arguments=[1, {"b": 2, "a": [None, True]}], expected="é"),
        AssertionTest(code="def check(candidate): assert candidate(1) == 2"),
    ),
)
# Written out by hand: a change of it would make every grader forget every problem.
CANONICAL = (
    '{"checker":null,"entry_point":"f","tests":['
    '{"input":"1\\n","kind":"stdin","output":"2\\n"},'
    '{"arguments":[1,{"a":[null,true],"b":2}],"expected":"é","kind":"function"},'
    '{"code":"def check(candidate): assert candidate(1) == 2","kind":"assertion"}],'
    '"timeout_seconds":null,"tolerance":null}'
)


def test_the_hash_is_of_the_canonical_json() -> None:
    """Sorted keys, no spaces, UTF-8: anyone can compute it."""
    assert SUITE.content_hash() == hashlib.sha256(CANONICAL.encode()).hexdigest()


def test_equal_suites_have_equal_hashes() -> None:
    """Whatever the order of keys they were read in."""
    again = TestSuite.model_validate(
        {"tests": [{"output": "2\n", "input": "1\n", "kind": "stdin"}], "entry_point": None}
    )
    assert again.content_hash() == TestSuite(tests=(StdinTest(input="1\n", output="2\n"),)).content_hash()


@pytest.mark.parametrize(
    "other",
    [
        SUITE.model_copy(update={"entry_point": "g"}),
        SUITE.model_copy(update={"tests": SUITE.tests[:2]}),
        SUITE.model_copy(update={"tests": SUITE.tests[::-1]}),
        SUITE.model_copy(update={"timeout_seconds": 2.0}),
    ],
)
def test_another_suite_has_another_hash(other: TestSuite) -> None:
    """Entry point, tests, their order and their time all count."""
    assert other.content_hash() != SUITE.content_hash()


def test_a_suite_survives_its_json() -> None:
    """The tests come back as their own kinds."""
    assert TestSuite.model_validate_json(SUITE.model_dump_json()) == SUITE


def test_what_a_grader_needs_of_a_problem() -> None:
    """Neither prompt nor solution goes to the sandbox."""
    problem = Problem(id="p", prompt="double it", entry_point="f", tests=SUITE.tests, solution="secret")
    assert test_suite(problem) == SUITE
    assert "secret" not in test_suite(problem).model_dump_json()


def test_a_suite_without_tests_is_refused() -> None:
    """all([]) would accept every program."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        test_suite(Problem(id="p", prompt="double it", tests=()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "stdin", "input": "1"},
        {"kind": "stdin", "input": 1, "output": "2"},
        {"kind": "doctest", "code": ""},
        {"input": "1", "output": "2", "kind": "function"},
        {"kind": "assertion", "code": "x", "extra": 1},
    ],
)
def test_a_malformed_test_is_refused(wrong: dict[str, Any]) -> None:
    """Each kind has its own fields, and no others."""
    with pytest.raises(ValidationError):
        TestSuite.model_validate({"tests": [wrong]})


@pytest.mark.parametrize("wrong", [{"id": ""}, {"prompt": ""}, {"language": "rust"}, {"difficulty": 3}])
def test_a_malformed_problem_is_refused(wrong: dict[str, Any]) -> None:
    """No id, no prompt, another language, an unknown field."""
    with pytest.raises(ValidationError):
        Problem.model_validate({"id": "p", "prompt": "x", "tests": [], **wrong})
