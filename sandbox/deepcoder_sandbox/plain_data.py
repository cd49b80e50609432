"""Plain data as bytes: how values pass between a program's process and those that judge it. No imports of ours.

What passes: None, bool, int of any size, float (exactly, with NaN and infinities), complex, str, bytes, list, tuple,
set, frozenset and dict, in any nesting; a subclass of one of these passes as its base, a numpy scalar as its Python
value. Nothing else does: functions, generators, iterators, ranges, arrays, class instances and modules cannot pass.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

# Values of one hash in a set or among a dict's keys; honest ones share a hash by accident.
MAX_SAME_HASH = 100
_SCALARS = frozenset({int, str, float, bool, type(None)})
_BIG = 1 << 64


class NotPlainDataError(Exception):
    """A value that cannot pass, or bytes that are not plain data. The message names what was found."""


def encode(value: object) -> bytes:
    """`value` as UTF-8 JSON with tags for what JSON lacks. Raises NotPlainDataError."""
    try:
        return json.dumps(_tag(value)).encode()
    except RecursionError:
        raise NotPlainDataError("a value nested too deeply, or one that holds itself") from None


def decode(data: bytes) -> Any:
    """The value that `encode` was given. Safe on hostile bytes. Raises NotPlainDataError."""
    try:
        return untag(json.loads(data))
    except RecursionError:
        raise NotPlainDataError("a value nested too deeply") from None
    except ValueError as error:
        raise NotPlainDataError(f"malformed data: {error}") from None


def encode_call(arguments: list[Any]) -> bytes:
    """A call's arguments, which are JSON values, for `decode_call`: mostly as JSON has them, which spares a walk.

    Raises NotPlainDataError.
    """
    try:
        return json.dumps(arguments).encode()
    except (ValueError, RecursionError):  # an int of thousands of digits, or what `encode` will name
        return encode((arguments, {}))


def decode_call(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Arguments and keywords of a call, from `encode_call` or as `encode` has the two. Raises NotPlainDataError."""
    if data[:1] != b"[":
        return decode(data)
    digits = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)  # whatever the program has made of it
        return json.loads(data), {}
    except RecursionError:
        raise NotPlainDataError("a value nested too deeply") from None
    finally:
        sys.set_int_max_str_digits(digits)


def untag(value: Any) -> Any:
    """`decode` for what is already parsed from JSON. Raises NotPlainDataError."""
    try:
        return _untag(value)
    except RecursionError:
        raise NotPlainDataError("a value nested too deeply") from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise NotPlainDataError(f"malformed data: {error}") from None


def _tag(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value if kind is not int or -_BIG < value < _BIG else {"int": hex(value)}
    if kind is list:
        return _tag_items(value)
    for base, name in ((tuple, "tuple"), (set, "set"), (frozenset, "frozenset")):
        if isinstance(value, base):
            return {name: _tag_items(base.__iter__(value))}  # pyright: ignore[reportArgumentType]
    if isinstance(value, dict):
        return {"dict": [[_tag(key), _tag(item)] for key, item in dict.items(value)]}
    if isinstance(value, list):
        return _tag_items(list.__iter__(value))
    return _tag_rare(value)


def _tag_items(items: Any) -> list[Any]:
    plain = list(items)
    kinds = set(map(type, plain))
    if kinds <= _SCALARS:
        integers = plain if kinds == {int} else [item for item in plain if type(item) is int]
        if not integers or (min(integers) > -_BIG and max(integers) < _BIG):
            return plain
    return [_tag(item) for item in plain]


def _tag_rare(value: Any) -> Any:
    if isinstance(value, int):
        return _tag(int.__index__(value))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return "".join(str.__iter__(value))
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return _tag(value.item())
    raise NotPlainDataError(f"a {type(value).__name__}, which is not plain data")


def _untag(value: Any) -> Any:
    if type(value) is list:
        kinds = set(map(type, value))
        return value if kinds <= _SCALARS else [_untag(item) for item in value]
    if type(value) is dict:
        ((name, content),) = value.items()
        return _UNTAG[name](content)
    return value


def _hashable(items: Any) -> list[Any]:
    """`items`, unless they were chosen to have one hash: a set or dict of them would take hours to build."""
    found = list(items)
    if len(found) > MAX_SAME_HASH and max(Counter(map(hash, found)).values()) > MAX_SAME_HASH:
        raise ValueError(f"more than {MAX_SAME_HASH} values of one hash")
    return found


def _untag_dict(pairs: Any) -> dict[Any, Any]:
    keys = _hashable(_untag(key) for key, _ in pairs)
    return dict(zip(keys, (_untag(item) for _, item in pairs), strict=True))


_UNTAG = {
    "int": lambda text: int(text, 16),
    "tuple": lambda items: tuple(map(_untag, items)),
    "set": lambda items: set(_hashable(map(_untag, items))),
    "frozenset": lambda items: frozenset(_hashable(map(_untag, items))),
    "dict": _untag_dict,
    "bytes": bytes.fromhex,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
}
