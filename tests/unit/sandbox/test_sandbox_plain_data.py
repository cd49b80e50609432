"""What passes between processes as plain data, and what does not."""

from __future__ import annotations

import collections
import enum
import json
import math
import sys

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_sandbox.plain_data import NotPlainDataError, decode, decode_call, encode, encode_call

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=8,
)
plain = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(hashable, inner, max_size=4),
    max_leaves=12,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["int", "tuple", "set", "dict", "bytes", "complex", "x"]), inner, max_size=2)
    ),
    max_leaves=10,
)


class Loud(int):
    """An int that is equal to everything."""

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class Lying(list):
    """A list that shows other items when it is asked."""

    def __iter__(self):
        return iter(["forged"])

    def __len__(self) -> int:
        return 99


Colour = enum.IntEnum("Colour", ["RED"])
Point = collections.namedtuple("Point", ["x", "y"])
BASES = [
    (Loud(3), 3, int),
    (Lying([1, 2]), [1, 2], list),
    (Colour.RED, 1, int),
    (Point(1, 2), (1, 2), tuple),
    (collections.OrderedDict(a=1), {"a": 1}, dict),
    (collections.Counter("aa"), {"a": 2}, dict),
    (numpy.int64(7), 7, int),
    (numpy.float64(0.5), 0.5, float),
    (numpy.bool_(True), True, bool),
    (numpy.str_("a"), "a", str),
    (bytearray(b"a"), b"a", bytes),
]
NOT_PLAIN = [
    lambda: 0,
    (n for n in ()),
    iter([]),
    range(3),
    object(),
    json,
    numpy.array([1, 2]),
    collections.deque([1]),
    [1, {"a": object()}],
    {1: print},
]
HOSTILE = [
    b"",
    b"nonsense",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"int": 5}',
    b'{"int": "zz"}',
    b'{"nothing": 1}',
    b"{}",
    b'{"int": "1", "set": []}',
    b'{"set": [[1]]}',
    b'{"dict": [[1]]}',
    b'{"dict": [[{"set": []}, 1]]}',
    b'{"bytes": "xyz"}',
    b'{"complex": [1]}',
    b'{"complex": ["a", "b"]}',
    b'{"tuple": 5}',
    b"1" * 10_000,
]


@given(plain)
@settings(max_examples=60, deadline=None)
def test_plain_value_comes_back_as_it_was(value):
    """Every nesting of plain values passes unchanged, with the types of all its parts."""
    back = decode(encode(value))
    assert back == value
    assert repr_of_types(back) == repr_of_types(value)


def repr_of_types(value: object) -> object:
    """The types of a value's parts; of sets as a count, for their order is not theirs."""
    if isinstance(value, list | tuple):
        return type(value), [repr_of_types(item) for item in value]
    if isinstance(value, dict):
        return dict, [(repr_of_types(key), repr_of_types(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), len(value)
    return type(value)


def test_numbers_that_json_lacks_pass():
    """Not-a-number, infinities and negative zero pass, and integers of any size."""
    values = decode(encode([math.nan, math.inf, -math.inf, -0.0, 1 << 10_000, -(1 << 64)]))
    assert math.isnan(values[0])
    assert values[1:3] == [math.inf, -math.inf]
    assert math.copysign(1, values[3]) == -1
    assert values[4:] == [1 << 10_000, -(1 << 64)]


@pytest.mark.parametrize(("value", "passed", "kind"), BASES)
def test_subclass_passes_as_its_base(value, passed, kind):
    """No method of a program's own class takes part: what passes is what the base holds."""
    back = decode(encode(value))
    assert type(back) is kind
    assert back == passed


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_other_values_do_not_pass(value):
    """A value with behaviour of its own is named and refused."""
    with pytest.raises(NotPlainDataError, match="not plain data"):
        encode(value)


def test_value_that_holds_itself_does_not_pass():
    """A cycle, and a nesting deeper than the stack, are refused."""
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(NotPlainDataError, match="too deeply"):
        encode(cycle)


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_bytes_are_refused(data):
    """Bytes that `encode` never makes raise one error, whatever is wrong with them."""
    with pytest.raises(NotPlainDataError):
        decode(data)


@pytest.mark.parametrize("tag", ["set", "frozenset", "dict"])
def test_values_chosen_to_have_one_hash_are_refused(tag):
    """Building a set or dict of thousands of them would take its reader hours."""
    values = [n * (2**61 - 1) for n in range(30_000)]
    content = [[n, n] for n in values] if tag == "dict" else values
    with pytest.raises(NotPlainDataError, match="one hash"):
        decode(json.dumps({tag: content}).encode())


@given(json_values)
@settings(max_examples=60, deadline=None)
def test_any_json_is_a_value_or_refused(value):
    """No JSON, tags in wrong places included, raises anything but NotPlainDataError."""
    try:
        decode(json.dumps(value).encode())
    except NotPlainDataError:
        return


@given(st.lists(json_values, max_size=4))
def test_arguments_of_a_call_come_as_they_were(arguments):
    """JSON values of every kind, also those that look like our tags."""
    came, keywords = decode_call(encode_call(arguments))
    assert keywords == {}
    assert repr(came) == repr(arguments)


def test_an_int_of_any_size_is_an_argument():
    """Whatever a program has made of its interpreter's limit, which then is what it was."""
    digits = sys.get_int_max_str_digits()
    frames = [encode_call([10**power]) for power in (900, 5000)]
    try:
        sys.set_int_max_str_digits(640)
        assert [decode_call(frame)[0][0] == 10**power for frame, power in zip(frames, (900, 5000), strict=True)] == [
            True
        ] * 2
        assert sys.get_int_max_str_digits() == 640
    finally:
        sys.set_int_max_str_digits(digits)


def test_a_judge_gives_keywords_too():
    """In the form that has tags."""
    assert decode_call(encode(([(1, 2)], {"key": {3}}))) == ([(1, 2)], {"key": {3}})
