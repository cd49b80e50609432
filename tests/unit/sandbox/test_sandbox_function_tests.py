"""What a program's answer to a call comes to, whatever it sends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Tolerance
from deepcoder_sandbox.comparators.registry import comparator
from deepcoder_sandbox.function_tests import judge_answer, parse, why_failed
from deepcoder_sandbox.plain_data import encode

EXPECTED = [1, 2]
DEEP = b"[" * 900 + b"]" * 900


def objects_to(expected, compared=comparator("strict")):  # noqa: B008 - a value, never changed
    """What decides on a value, as the grader is given it."""
    return lambda value: None if compared.values_equal(expected, value) else "not equal"


CASES = {
    "right": (b'{"value": [1, 2]}', Verdict.ACCEPTED),
    "right as a tuple": (b'{"value": ' + encode((1, 2)) + b"}", Verdict.ACCEPTED),
    "wrong": (b'{"value": [2, 1]}', Verdict.WRONG_ANSWER),
    "a set": (b'{"value": ' + encode({1, 2}) + b"}", Verdict.WRONG_ANSWER),
    "unknown tag": (b'{"value": {"list": [1, 2]}}', Verdict.WRONG_ANSWER),
    "not plain": (b'{"not_plain": "returned a generator"}', Verdict.WRONG_ANSWER),
    "raised": (b'{"raised": "KeyError", "name": "KeyError", "text": "1", "line": 3}', Verdict.RUNTIME_ERROR),
    "raised MemoryError": (b'{"raised": "MemoryError"}', Verdict.MEMORY_LIMIT),
    "says that it passed": (b'{"verdict": "passed"}', Verdict.RUNTIME_ERROR),
    "no object": (b"[1, 2]", Verdict.WRONG_ANSWER),
    "no JSON": (b"\xff\xff", Verdict.WRONG_ANSWER),
    "deep": (b'{"value": ' + DEEP + b"}", Verdict.WRONG_ANSWER),
    "far too deep": (b"[" * 100_000, Verdict.WRONG_ANSWER),
    "deep where text is due": (b'{"raised": ' + DEEP + b', "text": ' + DEEP + b"}", Verdict.RUNTIME_ERROR),
    "deep reason": (b'{"not_plain": ' + DEEP + b"}", Verdict.WRONG_ANSWER),
}


@pytest.mark.parametrize("name", CASES)
def test_answer_has_its_verdict(name):
    """Only the expected value is accepted; what is no answer fails and never raises."""
    frame, verdict = CASES[name]
    assert judge_answer(parse(frame), objects_to(EXPECTED))[0] is verdict


@pytest.mark.parametrize("name", CASES)
def test_nothing_sent_in_place_of_loaded_is_accepted(name):
    """A program that answers before its first call is refused, the right value and null included."""
    assert why_failed(parse(CASES[name][0]))[0] is not Verdict.ACCEPTED


def test_exception_is_told_with_its_line():
    """People see where in the program it came from."""
    answer = {"raised": "KeyError", "name": "KeyError", "text": "1", "line": 3}
    assert judge_answer(answer, objects_to(None))[1] == "line 3: KeyError: 1"


def test_value_is_compared_by_profile_and_tolerance():
    """The comparator that it is given decides."""
    answer = parse(b'{"value": [true, 2.05]}')
    assert (
        judge_answer(answer, objects_to(EXPECTED, comparator("lcb-v5", Tolerance(absolute=0.1))))[0] is Verdict.ACCEPTED
    )
    assert judge_answer(answer, objects_to(EXPECTED, comparator("lcb-v5")))[0] is Verdict.WRONG_ANSWER
    assert (
        judge_answer(answer, objects_to(EXPECTED, comparator("strict", Tolerance(absolute=0.1))))[0]
        is Verdict.WRONG_ANSWER
    )


@pytest.mark.parametrize("value", [b"null", b"[1, 2]", b'{"tuple": []}'])
def test_value_where_none_is_due_is_never_accepted(value):
    """A program that sends one in place of the word that it is loaded has failed, whatever is expected of it."""
    assert why_failed(parse(b'{"value": ' + value + b"}"))[0] is Verdict.RUNTIME_ERROR


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "raised", "not_plain", "set", "text", "line"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values | st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_forged_answer_never_raises_and_is_never_accepted(answer):
    """Whatever bytes a program sends, the grader has a verdict, and it is not accepted by luck."""
    frame = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    verdict, detail = judge_answer(parse(frame), objects_to(["what no generator makes"]))
    assert verdict is not Verdict.ACCEPTED
    assert isinstance(detail, str)
