"""Tests in the shapes that data sets publish them in, as ours. Pure functions.

TACO and its kin keep two lists, inputs and outputs, and a function's name where the answer is a function; others keep
the tests one by one. A returned value is a JSON value, or the only item of a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from deepcoder_api.problems import FunctionTest, StdinTest
from deepcoder_data.embedded_values import json_value
from deepcoder_data.rows import RowError


def stdin_tests(inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[StdinTest, ...]:
    """Tests of standard input and output; a list is its items as lines. Raises RowError."""
    return tuple(
        StdinTest(input=_lines(given, "inputs"), output=_lines(expected, "outputs"))
        for given, expected in _pairs(inputs, outputs)
    )


def call_tests(inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[FunctionTest, ...]:
    """Tests of a function: each input is the list of its arguments. Raises RowError."""
    for given in inputs:
        if not isinstance(given, list):
            raise RowError(f"inputs: the arguments of a call are a list, not {_shown(given)}")
    return tuple(
        FunctionTest(arguments=cast(list[Any], given), expected=expected)
        for given, expected in _pairs(inputs, unwrapped(outputs))
    )


def json_call_test(given: str, expected: str) -> FunctionTest:
    """A test of a function as LiveCodeBench has it: an argument a line, each JSON, and the result as JSON.

    Raises RowError.
    """
    arguments = [json_value(line, "input") for line in given.split("\n") if line.strip()]
    return FunctionTest(arguments=arguments, expected=json_value(expected, "output"))


def unwrapped(outputs: Sequence[Any]) -> list[Any]:
    """Returned values out of the lists that hold them, when each is the only item of one.

    The published graders accept the list as well as its item, so that a problem whose function does return such
    lists is graded alike by both; here its own solution decides whether it is kept.
    """
    if all(isinstance(output, list) and len(cast(list[Any], output)) == 1 for output in outputs):
        return [output[0] for output in outputs]
    return list(outputs)


def entry_point(function: str, texts: Iterable[str | None]) -> str:
    """`f`, or `Solution.f` when the first of `texts` (starter code, a solution) that defines it has it in a class.

    Raises RowError for what is no name.
    """
    if not function.isidentifier():
        raise RowError(f"the function's name must be a name in Python, not {_shown(function)}")
    definition = re.compile(rf"(?P<indent>[ \t]*)(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b")
    for text in texts:
        owner = None
        for line in (text or "").splitlines():
            if found := re.match(r"class[ \t]+(\w+)", line):
                owner = found[1]
            elif found := definition.match(line):
                return f"{owner}.{function}" if owner and found["indent"] else function
    return function


def _pairs(inputs: Sequence[Any], outputs: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    if len(inputs) != len(outputs):
        raise RowError(f"inputs, outputs: {len(inputs)} and {len(outputs)} of them; there must be one for each")
    return zip(inputs, outputs, strict=True)


def _lines(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_lines(item, column) for item in cast(list[Any], value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    raise RowError(f"{column}: text or its lines are needed, not {_shown(value)}")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
