"""Values that data sets keep as text inside a column: as JSON, or as Python prints them. Pure functions."""

from __future__ import annotations

import ast
import json
from typing import Any

from pydantic_core import from_json

from deepcoder_data.rows import RowError

MAX_LITERAL_CHARACTERS = 16 * 1024 * 1024
"""A syntax tree takes a hundred times the memory of its text."""


def json_value(text: str, column: str) -> Any:
    """The JSON value of `text`; NaN and Infinity, which JSON has not, are refused. Raises RowError."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise RowError(f"{column}: no JSON: {error}") from error


def literal_value(text: str, column: str) -> Any:
    """The value of `text`, which is JSON or a Python literal; what JSON cannot hold is refused. Raises RowError."""
    try:
        return json_value(text, column)
    except RowError as error:
        if len(text) > MAX_LITERAL_CHARACTERS:
            raise RowError(f"{error}, and too long for a Python literal: at most {MAX_LITERAL_CHARACTERS}") from error
    try:
        return json_value(json.dumps(ast.literal_eval(text), allow_nan=False), column)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        said = str(error).splitlines()[:1] or [type(error).__name__]
        raise RowError(f"{column}: neither JSON nor a Python literal of JSON values: {said[0]}") from error
