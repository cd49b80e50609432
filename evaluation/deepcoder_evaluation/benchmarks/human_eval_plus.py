"""HumanEval+ by EvalPlus (github.com/evalplus/evalplus): HumanEval's problems with many more inputs.

Rows of evalplus' HumanEvalPlus.jsonl give inputs, base and plus; what is right is what the canonical solution returns,
equal or, of floats, near enough (evalplus/evaluate). A problem counts when base and plus pass; base has a score of its
own. Rows with a `test` instead (openai/human-eval, or evalplus/humanevalplus on the hub) are graded by that alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Profile
from deepcoder_api.problems import Problem
from deepcoder_data.human_eval import CompletionRow, HumanEvalRow, completion_problem, human_eval_problem
from deepcoder_data.parquet_rows import is_parquet, read_parquet
from deepcoder_data.readers import BadRow, read_rows
from deepcoder_evaluation.benchmarks.kind import RULES, BenchmarkKind, Row

_ABSOLUTE_OF_FLOATS, _RELATIVE = 1e-6, 1e-7
# The one problem with many right answers: a zero of a polynomial.
_FIND_ZERO = "find_zero"


class HumanEvalPlusRow(CompletionRow):
    """A row of HumanEvalPlus.jsonl. Each input is a list of arguments; `atol` is how far a float may be off."""

    base_input: list[list[Any]] = Field(min_length=1)
    plus_input: list[list[Any]] | None = None
    atol: float = 0.0


COLUMNS = frozenset(HumanEvalPlusRow.model_fields) | frozenset(HumanEvalRow.model_fields)
_CHECK = """

import copy as _copy

_reference = {entry_point}
_inputs = {inputs}


def _is_floats(value):
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def _near(actual, expected, absolute):
    if isinstance(expected, (list, tuple)):
        return len(actual) == len(expected) and all(_near(a, e, absolute) for a, e in zip(actual, expected))
    return actual == expected or abs(actual - expected) <= absolute + {relative} * abs(expected)


def _right(arguments, actual, expected):
    if {is_find_zero}:
        return abs(sum(factor * actual ** power for power, factor in enumerate(arguments[0]))) <= {atol}
    if actual == expected:
        return True
    absolute = {atol} or (_is_floats(expected) and {of_floats})
    return bool(absolute) and type(actual) is type(expected) and _near(actual, expected, absolute)


def check(candidate):
    for arguments in _inputs:
        expected = _reference(*_copy.deepcopy(arguments))
        actual = candidate(*_copy.deepcopy(arguments))
        assert _right(arguments, actual, expected), "wrong result"
"""


def human_eval_plus_problem(row: HumanEvalPlusRow) -> Problem:
    """The problem of a row: the base inputs are its first test, the plus inputs its second."""
    inputs = [row.base_input, *([row.plus_input] if row.plus_input else [])]
    checks = [_check(row, some) for some in inputs]
    return completion_problem(row, checks, source="humaneval-plus", metadata={"base_tests": "1"})


def _check(row: HumanEvalPlusRow, inputs: list[list[Any]]) -> str:
    written = _CHECK.format(
        entry_point=row.entry_point,
        inputs=repr(inputs),
        relative=_RELATIVE,
        of_floats=_ABSOLUTE_OF_FLOATS,
        atol=row.atol,
        is_find_zero=row.entry_point == _FIND_ZERO,
    )
    return f"{row.prompt}{row.canonical_solution}{written}"


class HumanEvalPlus(BenchmarkKind):
    """Base is the score by the first test alone, where rows tell base and plus apart."""

    name = "humaneval-plus"

    def rows(self, benchmark: Benchmark, file: Path, uri: str, name: str) -> Iterator[Row]:
        raw = read_parquet(file, uri, COLUMNS) if is_parquet(file) else read_rows(file, uri)
        for number, row in raw:
            read = row if isinstance(row, BadRow) else _problem(row)
            match read:
                case Problem():
                    yield read
                case BadRow():
                    yield BadRow(number, read.reason, name)
                case _:
                    yield BadRow(number, read, name)

    def extraction(self, profile: Profile) -> str:
        return RULES[profile] if profile.startswith("rllm") else RULES["strict"]

    def subsets(self, problem: Problem) -> dict[str, int]:
        base = problem.metadata.get("base_tests")
        return {"base": int(base)} if base else {}


def _problem(row: bytes | dict[str, Any]) -> Problem | str:
    """The problem, or why there is none."""
    try:
        if isinstance(row, bytes):
            if b'"base_input"' in row:
                return human_eval_plus_problem(HumanEvalPlusRow.model_validate_json(row))
            return human_eval_problem(HumanEvalRow.model_validate_json(row))
        if row.get("base_input") is not None:
            return human_eval_plus_problem(HumanEvalPlusRow.model_validate(row))
        return human_eval_problem(HumanEvalRow.model_validate(row))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


KIND = HumanEvalPlus()
