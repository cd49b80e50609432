"""YAML scalars mean here what they mean to kubectl; tests/integration/api asks kubectl itself the same table."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepcoder_api.yaml_text import YamlError, load_documents, scalar
from tests.yaml_scalars import SCALARS


@pytest.mark.parametrize(("text", "meaning"), SCALARS, ids=[repr(text) for text, _ in SCALARS])
def test_an_unquoted_scalar(text: str, meaning: object) -> None:
    """Value and type, so that 1 is not 1.0 and not true."""
    (document,) = load_documents(f"value: {text}\n")
    assert json.dumps(document["value"]) == json.dumps(meaning)


@pytest.mark.parametrize("text", [text for text, _ in SCALARS if text and "'" not in text and '"' not in text])
def test_a_quoted_scalar_is_text(text: str) -> None:
    """Quotes always make text."""
    assert load_documents(f"value: '{text}'\n") == [{"value": text}]


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_integers_come_back(number: int) -> None:
    """Every integer that JSON carries exactly."""
    assert scalar(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-6)
@example(1e300)
def test_floats_come_back(number: float) -> None:
    """Every finite number, in Python's own spelling."""
    read = scalar(repr(number))
    assert isinstance(read, int | float)
    assert not isinstance(read, bool)
    assert math.isclose(read, number, rel_tol=0, abs_tol=0)


TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=20)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=10,
    )
)
def test_json_is_yaml(value: object) -> None:
    """What `kubectl get -o json` prints, written to a file, is read as it was."""
    text = json.dumps({"value": value}, ensure_ascii=False)
    assert load_documents(text) == [{"value": value}]


def test_a_key_given_twice_is_an_error() -> None:
    """The line is named."""
    with pytest.raises(YamlError, match=r"the key 'steps' is given twice\n.*line 3"):
        load_documents("stage:\n  steps: 1\n  steps: 2\n")


def test_keys_are_text() -> None:
    """JSON has no other keys."""
    assert load_documents("{1: a, true: b, 1.5: c, '2': d}") == [{"1": "a", "true": "b", "1.5": "c", "2": "d"}]


@pytest.mark.parametrize("text", ["{null: a}", "{[1]: a}", "? {a: 1}\n: b"])
def test_other_keys_are_refused(text: str) -> None:
    """As kubectl refuses them."""
    with pytest.raises(YamlError, match="a key must be text"):
        load_documents(text)


def test_anchors_and_merges() -> None:
    """One description for several pods, as people write it."""
    text = "base: &base {cpu: 1, memory: 2Gi}\npod:\n  <<: *base\n  cpu: 2\n"
    assert load_documents(text) == [{"base": {"cpu": 1, "memory": "2Gi"}, "pod": {"cpu": 2, "memory": "2Gi"}}]


def test_no_object_of_python_is_made() -> None:
    """A tag that would build one is an error."""
    with pytest.raises(YamlError, match="could not determine a constructor"):
        load_documents("value: !!python/object/apply:os.system [echo]")
