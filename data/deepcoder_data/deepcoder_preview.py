"""Rows of DeepCoder's own selection (agentica-org/DeepCoder-Preview-Dataset) as problems. Pure functions.

Its parts taco, primeintellect, lcbv5 and codeforces keep the tests in the shapes of the sets that they come from. The
question of primeintellect says itself what a program reads and writes; the others' is put as LiveCodeBench puts it.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepcoder_api.problems import Problem, Test
from deepcoder_data import livecodebench, synthetic_1
from deepcoder_data.embedded_values import json_value
from deepcoder_data.livecodebench import tests_by_type
from deepcoder_data.published_solutions import first_solution, with_usual_imports
from deepcoder_data.question_prompts import question_prompt
from deepcoder_data.rows import RowError
from deepcoder_data.synthetic_1 import tests_one_by_one
from deepcoder_data.taco import InputsAndOutputs, statement_digest, tests_of_lists

_ONE_BY_ONE = TypeAdapter(list[synthetic_1.PublishedTest])
_BY_TYPE = TypeAdapter(list[livecodebench.PublishedTest])


class DeepCoderRow(BaseModel):
    """A row: `tests` and `metadata`, which names the function of an lcbv5 row, are JSON text or values."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    problem: str = Field(min_length=1)
    tests: str | list[Any] | dict[str, Any]
    solutions: str | list[str] | None = None
    starter_code: str | None = None
    metadata: str | dict[str, Any] | None = None


def deepcoder_problem(row: DeepCoderRow) -> Problem:
    """The problem of a row. Raises RowError or pydantic.ValidationError."""
    published = json_value(row.tests, "tests") if isinstance(row.tests, str) else row.tests
    solution = first_solution(row.solutions)
    tests, function = _tests(published, row, solution)
    instructed = _has(published, "type") and not row.starter_code
    return Problem(
        id=f"deepcoder/{statement_digest(row.problem, row.starter_code)}",
        prompt=row.problem if instructed else question_prompt(row.problem, row.starter_code),
        entry_point=function,
        tests=tests,
        solution=with_usual_imports(solution) if solution else None,
        source="deepcoder",
    )


def _tests(published: Any, row: DeepCoderRow, solution: str | None) -> tuple[tuple[Test, ...], str | None]:
    if isinstance(published, dict):
        return tests_of_lists(InputsAndOutputs.model_validate(published), row.starter_code, solution)
    if not isinstance(published, list):
        raise RowError("tests: a list of tests, or an object with inputs and outputs, is needed")
    if _has(published, "testtype"):
        return tests_by_type(_BY_TYPE.validate_python(published), _function(row.metadata), row.starter_code)
    texts = (row.starter_code, solution, row.problem)
    return tests_one_by_one(_ONE_BY_ONE.validate_python(published), texts)


def _has(published: Any, field: str) -> bool:
    if not isinstance(published, list) or not published:
        return False
    first = cast(list[Any], published)[0]
    return isinstance(first, dict) and field in first


def _function(metadata: str | dict[str, Any] | None) -> str | None:
    given = json_value(metadata, "metadata") if isinstance(metadata, str) and metadata.strip() else metadata
    return livecodebench.Metadata.model_validate(given or {}).func_name
