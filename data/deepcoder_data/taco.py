"""Rows of TACO (BAAI/TACO) and of TACO-verified (likaixin/TACO-verified) as problems. Pure functions."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deepcoder_api.problems import Problem, Test
from deepcoder_data.embedded_values import json_value
from deepcoder_data.published_solutions import first_solution, with_usual_imports
from deepcoder_data.published_tests import call_tests, entry_point, stdin_tests
from deepcoder_data.question_prompts import question_prompt
from deepcoder_data.rows import RowError

ID_DIGITS = 16


class TacoRow(BaseModel):
    """A row. `input_output` is JSON with inputs, outputs and, for a function, fn_name; empty without tests.

    `solutions` is a list of programs, in BAAI/TACO as JSON text.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str = Field(min_length=1)
    input_output: str
    starter_code: str | None = None
    solutions: str | list[str] | None = None
    difficulty: str | None = None
    url: str | None = None


class InputsAndOutputs(BaseModel):
    """The tests of a problem in two lists, and the function's name where a function is asked for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    inputs: list[Any] = []
    outputs: list[Any] = []
    fn_name: str | None = None


def taco_problem(row: TacoRow) -> Problem:
    """The problem of a row. Raises RowError or pydantic.ValidationError."""
    published = json_value(row.input_output, "input_output") if row.input_output.strip() else {}
    if not isinstance(published, dict):
        raise RowError("input_output: an object with inputs and outputs is needed")
    solution = first_solution(row.solutions)
    tests, function = tests_of_lists(InputsAndOutputs.model_validate(published), row.starter_code, solution)
    metadata = {"difficulty": row.difficulty, "url": row.url}
    return Problem(
        id=f"taco/{statement_digest(row.question, row.starter_code)}",
        prompt=question_prompt(row.question, row.starter_code),
        entry_point=function,
        tests=tests,
        solution=with_usual_imports(solution) if solution else None,
        source="taco",
        metadata={name: value for name, value in metadata.items() if value},
    )


def tests_of_lists(
    published: InputsAndOutputs, starter_code: str | None, solution: str | None
) -> tuple[tuple[Test, ...], str | None]:
    """The tests, and the entry point where they call one. Raises RowError."""
    if not published.fn_name:
        return stdin_tests(published.inputs, published.outputs), None
    function = entry_point(published.fn_name, (starter_code, solution))
    return call_tests(published.inputs, published.outputs), function


def statement_digest(question: str, starter_code: str | None) -> str:
    """What names a problem that has no id: the same whatever its row, its tests and its solutions are."""
    text = f"{question.strip()}\0{(starter_code or '').strip()}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]
