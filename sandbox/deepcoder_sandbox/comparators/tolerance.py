"""What a problem's tolerance adds to the rule of any profile: a number near the expected one counts as that number.

Bounds are exact as written: decimal arithmetic of 50 digits on the numbers' own digits, and the bound itself is in.
"""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from typing import Any

from deepcoder_api.problems import Tolerance

_ARITHMETIC = decimal.Context(prec=50, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])
_WORD = re.compile(r"\S+")
# Beyond it an int is beyond any float, and its decimal digits are costly to find: it is compared exactly.
_INT_BITS = 4096


def tolerated(expected: str, actual: str, tolerance: Tolerance) -> str:
    """`actual` with each number that is near the expected one written as expected; all else as it was.

    Words are what white space separates; the first belongs to the first, and so on. Texts of unequally many words have
    no such places, and `actual` stays.
    """
    wanted = expected.split()
    if len(wanted) != len(actual.split()):
        return actual
    words = iter(wanted)

    def written(match: re.Match[str]) -> str:
        word = next(words)
        return word if _words_near(word, match[0], tolerance) else match[0]

    return _WORD.sub(written, actual)


def numbers_near(expected: Any, actual: Any, tolerance: Tolerance) -> bool:
    """Whether both are finite ints or floats, and `actual` is near `expected`. A bool is no number."""
    wanted, given = _decimal(expected), _decimal(actual)
    return wanted is not None and given is not None and _near(wanted, given, tolerance)


def _near(expected: Decimal, actual: Decimal, tolerance: Tolerance) -> bool:
    relative = _ARITHMETIC.multiply(Decimal(repr(tolerance.relative)), expected.copy_abs())
    distance = _ARITHMETIC.subtract(actual, expected).copy_abs()
    return distance <= max(Decimal(repr(tolerance.absolute)), relative)


def _words_near(expected: str, actual: str, tolerance: Tolerance) -> bool:
    if expected == actual:
        return True
    try:
        wanted, given = Decimal(expected), Decimal(actual)
    except decimal.InvalidOperation:
        return False
    return wanted.is_finite() and given.is_finite() and _near(wanted, given, tolerance)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() <= _INT_BITS else None
    if isinstance(value, float):
        number = Decimal(repr(value))
        return number if number.is_finite() else None
    return None
