"""What tests in two lists come to, by rules that hold for all of them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_data.embedded_values import json_value, literal_value
from deepcoder_data.published_tests import call_tests, entry_point, json_call_test, stdin_tests, unwrapped
from deepcoder_data.rows import RowError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(pairs=st.lists(st.tuples(texts, texts)))
def test_text_goes_in_and_comes_out_as_it_is(pairs: list[tuple[str, str]]) -> None:
    """Each test is a pair, in order."""
    tests = stdin_tests([given for given, _ in pairs], [out for _, out in pairs])

    assert [(test.input, test.output) for test in tests] == pairs


@given(calls=st.lists(st.tuples(st.lists(json_values, max_size=3), json_values), min_size=1))
def test_results_come_out_of_their_lists_whatever_they_are(calls: list[tuple[list[Any], Any]]) -> None:
    """Each result in a list of its own is that result, be it a list itself."""
    tests = call_tests([given for given, _ in calls], [[out] for _, out in calls])

    assert [(test.arguments, test.expected) for test in tests] == calls


@given(outputs=st.lists(json_values).filter(lambda outputs: any(not isinstance(one, list) for one in outputs)))
def test_results_that_are_not_all_in_lists_stay(outputs: list[Any]) -> None:
    """One that is not shows that lists are results."""
    assert unwrapped(outputs) == outputs


@given(arguments=st.lists(json_values, max_size=4), result=json_values)
def test_a_call_by_lines_of_json_is_that_call(arguments: list[Any], result: Any) -> None:
    """An argument a line."""
    test = json_call_test("\n".join(json.dumps(one) for one in arguments), json.dumps(result))

    assert (test.arguments, test.expected) == (arguments, result)


@given(value=json_values)
def test_an_embedded_value_is_read_back(value: Any) -> None:
    """As JSON, and as Python prints it."""
    assert json_value(json.dumps(value), "column") == value
    assert literal_value(json.dumps(value), "column") == value
    assert literal_value(repr(value), "column") == value


@given(text=st.text(max_size=40))
def test_no_text_is_an_error_of_another_kind(text: str) -> None:
    """A value, or a RowError."""
    with contextlib.suppress(RowError):
        json.dumps(literal_value(text, "column"))


def test_a_literal_too_long_for_a_syntax_tree_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON of that length is read: it needs none."""
    monkeypatch.setattr("deepcoder_data.embedded_values.MAX_LITERAL_CHARACTERS", 10)

    assert literal_value(json.dumps(["x" * 20]), "column") == ["x" * 20]
    with pytest.raises(RowError, match="too long for a Python literal: at most 10"):
        literal_value(repr({"it's": "x" * 20}), "column")


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ((), "f"),
        ((None, ""), "f"),
        (("def f(a):",), "f"),
        (("async def f(a):",), "f"),
        (("class A:\n    def f(self):",), "A.f"),
        (("class A(object):\n\t@cache\n\tdef f(self):",), "A.f"),
        (("class A:\n    def g(self): ...\n\nclass B:\n    def f(self): ...",), "B.f"),
        (("class A:\n    def g(self): ...\n\ndef f(): ...",), "f"),
        (("def g():\n    def f(): ...",), "f"),
        (("class A:\n    def ff(self): ...",), "f"),
        (("def g(): ...", "class A:\n    def f(self): ..."), "A.f"),
        (("def f(): ...", "class A:\n    def f(self): ..."), "f"),
    ],
)
def test_a_method_is_named_with_its_class(texts: tuple[str | None, ...], found: str) -> None:
    """The first text that defines the function decides; starter code need not be whole."""
    assert entry_point("f", texts) == found
