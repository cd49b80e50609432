"""What each profile says of an output or a value: by the sources that the profiles' modules name, gone through by hand.

A row is (expected, actual, the profiles that accept). `rllm-main` accepts what `lcb-v5` does.
"""

from __future__ import annotations

import math
from typing import Any

ALL = frozenset({"strict", "lcb-v5", "rllm-main", "rllm-release"})
NONE: frozenset[str] = frozenset()
LCB = frozenset({"lcb-v5", "rllm-main"})
RELEASE = frozenset({"rllm-release"})
STRICT = frozenset({"strict"})
HARNESSES = LCB | RELEASE

OUTPUTS: dict[str, tuple[str, str, frozenset[str]]] = {
    "the same": ("1 2\nYES\n", "1 2\nYES\n", ALL),
    "no line end at the end": ("1\n", "1", ALL),
    "white space at line ends": ("1\n2", "1 \t\n2  ", ALL),
    "carriage returns": ("1\r\n2\r\n", "1\n2\n", ALL),
    "empty lines at the end": ("1", "1\n\n\n", ALL),
    "empty lines at the start": ("1", "\n\n1", HARNESSES),
    "white space at the start of a line": ("1\nx", "1\n  x", HARNESSES),
    "an empty line between": ("1\n2", "1\n\n2", RELEASE),
    "an expected empty line left out": ("1\n\n2", "1\n2", RELEASE),
    "two spaces between numbers": ("1 2", "1  2", HARNESSES),
    "a tab between numbers": ("1 2", "1\t2", HARNESSES),
    "two spaces between words": ("a b", "a  b", RELEASE),
    "a decimal for an int": ("1", "1.0", HARNESSES),
    "an exponent": ("1000", "1e3", HARNESSES),
    "a plus sign": ("5", "+5", HARNESSES),
    "minus zero": ("0", "-0", HARNESSES),
    "leading zeros": ("7", "007", HARNESSES),
    "one of two numbers, the other a word": ("a 1", "a 1.0", RELEASE),
    "rounded in the sixth digit": ("0.333333", "0.333334", RELEASE),
    "rounded in the fourth digit": ("0.3333", "0.3334", NONE),
    "large ints that floats take for one": ("50000000000000000", "50000000000000001", RELEASE),
    "close to zero": ("0", "0.00000001", RELEASE),
    "not so close to zero": ("0", "0.0000001", NONE),
    "infinity in two spellings": ("inf", "Infinity", HARNESSES),
    "NaN as it is written": ("nan", "nan", ALL),
    "NaN in two spellings": ("nan", "NaN", NONE),
    "NaN in two spellings, beside a number": ("1 nan", "1 NaN", NONE),
    "an underscore in a number": ("1000", "1_000", HARNESSES),
    "another number": ("1", "2", NONE),
    "another word": ("YES", "NO", RELEASE),
    "another case": ("YES", "Yes", RELEASE),
    "a word for a number": ("7", "seven", RELEASE),
    "a number for a word": ("IMPOSSIBLE", "-1", RELEASE),
    "other words, the numbers right": ("x = 1", "y = 1", RELEASE),
    "other words, a number wrong": ("x = 1", "x = 2", NONE),
    "an extra word": ("1", "1 2", NONE),
    "a word too few": ("a b", "a", NONE),
    "as many words, on other lines": ("1 2\n3", "1\n2 3", NONE),
    "two lines as one": ("YES\nNO", "YES NO", NONE),
    "nothing printed": ("1", "", NONE),
    "nothing expected": ("", "1", NONE),
    "nothing expected, white space printed": ("", " \n", ALL),
    "order of words": ("a b c", "c b a", RELEASE),
    "order of numbers in a line": ("1 2 3", "3 2 1", NONE),
    "order of lines of one digit": ("1\n2", "2\n1", RELEASE),
    "order of lines of two digits": ("10\n20", "20\n10", NONE),
    "a line of one digit twice": ("1\n2\n1", "2 1", RELEASE),
    "digits for lines": ("1\n2", "12", RELEASE),
    "digits for words": ("1 2\n3", "21\n3", RELEASE),
    "digits for words, rounded": ("1.0004 2\n3", "3 12", RELEASE),
}

VALUES: dict[str, tuple[Any, Any, frozenset[str]]] = {
    "the same": ([1, "a", None], [1, "a", None], ALL),
    "a float for an int": (1, 1.0, ALL),
    "a rounded float": (0.3, 0.1 + 0.2, NONE),
    "a bool for an int": (1, True, HARNESSES),
    "an int for a bool": (True, 1, HARNESSES),
    "a bool for an int in a list": ([0, 1], [False, True], HARNESSES),
    "text for a number": (1, "1", NONE),
    "a tuple": ([1, 2], (1, 2), ALL),
    "an empty tuple": ([], (), ALL),
    "tuples in a list": ([[1, 2], [3]], [(1, 2), (3,)], STRICT),
    "a tuple of tuples": ([[1, 2], [3]], ((1, 2), (3,)), STRICT),
    "a tuple two levels deep": ([[[1]]], [[(1,)]], STRICT),
    "a list of one, its value returned": ([5], 5, RELEASE),
    "a list of two, its first returned": ([5, 6], 5, RELEASE),
    "a list of one list, its list returned": ([[1, 2]], [1, 2], RELEASE),
    "a list of one list, a tuple returned": ([[1, 2]], (1, 2), RELEASE),
    "a list of one list of lists, tuples returned": ([[[1, 2], [3]]], [(1, 2), (3,)], RELEASE),
    "order": ([1, 2], [2, 1], NONE),
    "a set": ([1, 2], {1, 2}, NONE),
    "another length": ([1, 2], [1, 2, 2], NONE),
    "None for False": (False, None, NONE),
    "bytes for text": ("a", b"a", NONE),
    "a dict": ({"a": 1}, {"a": 1}, ALL),
    "a dict of tuples": ({"a": [1]}, {"a": (1,)}, STRICT),
    "int keys for int-like keys": ({"1": 2}, {1: 2}, RELEASE),
    "int-like keys as they are": ({"1": 2}, {"1": 2}, STRICT | LCB),
    "a list of one dict, int keys returned": ([{"1": 2}], {1: 2}, RELEASE),
    "a list of dicts with int-like keys, its first returned": ([{"1": 2}, {"3": 4}], [{1: 2}], RELEASE),
    "NaN": (math.nan, float("nan"), NONE),
    "NaN in a list": ([math.nan], [float("nan")], NONE),
    "infinity": (math.inf, math.inf, ALL),
    "an int that no float is": (2**53 + 1, float(2**53), NONE),
    "complex": (1, 1 + 0j, HARNESSES),
}
