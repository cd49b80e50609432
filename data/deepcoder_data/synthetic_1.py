"""Rows of SYNTHETIC-1 (PrimeIntellect/SYNTHETIC-1) as problems: those that ask for a Python program. Pure functions.

PrimeIntellect/verifiable-coding-problems, which they come from, and open-r1's copies of it have the same columns. The
prompt says itself what the program reads and writes. A problem has one row for each answer that was sampled: they have
its id, and all but the first are dropped as duplicates.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepcoder_api.problems import Problem, Test
from deepcoder_data.embedded_values import literal_value
from deepcoder_data.published_solutions import fenced_program, with_usual_imports
from deepcoder_data.published_tests import call_tests, entry_point, stdin_tests
from deepcoder_data.rows import LeftOut, RowError

CODE_TASK = "verifiable_code"


class Synthetic1Row(BaseModel):
    """A row. `verification_info` is a VerificationInfo, as JSON, as a Python literal or as an object."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    problem_id: str = Field(min_length=1)
    task_type: str = CODE_TASK
    prompt: str = ""
    gold_standard_solution: str | None = None
    verification_info: str | dict[str, Any] | None = None


class PublishedTest(BaseModel):
    """One test: what a program reads and prints, or a function's arguments and result."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["stdin_stdout", "function_call"] = "stdin_stdout"
    fn_name: str | None = None
    input: Any
    output: Any


class VerificationInfo(BaseModel):
    """What a row's answers are judged by."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    language: str = "python"
    test_cases: list[PublishedTest]


def synthetic_1_problem(row: Synthetic1Row) -> Problem | LeftOut:
    """The problem of a row that asks for a Python program. Raises RowError or pydantic.ValidationError."""
    if row.task_type != CODE_TASK:
        return LeftOut("other_task")
    info = VerificationInfo.model_validate(_information(row.verification_info))
    if info.language.lower() not in ("python", "python3"):
        return LeftOut("other_language")
    solution = fenced_program(row.gold_standard_solution)
    tests, function = tests_one_by_one(info.test_cases, (solution, row.prompt))
    return Problem(
        id=f"synthetic-1/{row.problem_id}",
        prompt=row.prompt,
        entry_point=function,
        tests=tests,
        solution=with_usual_imports(solution) if solution else None,
        source="synthetic-1",
    )


def tests_one_by_one(
    published: list[PublishedTest], texts: tuple[str | None, ...]
) -> tuple[tuple[Test, ...], str | None]:
    """The tests, and the entry point, defined in one of `texts`, where they call one. Raises RowError."""
    inputs, outputs = [test.input for test in published], [test.output for test in published]
    kinds = {(test.type, test.fn_name) for test in published}
    if all(kind == "stdin_stdout" for kind, _ in kinds):
        return stdin_tests(inputs, outputs), None
    (kind, function), *others = kinds
    if others or kind != "function_call" or not function:
        raise RowError("test_cases: all must call one function, by its fn_name, or none must call any")
    return call_tests(inputs, outputs), entry_point(function, texts)


def _information(published: str | dict[str, Any] | None) -> Any:
    if isinstance(published, str):
        return literal_value(published, "verification_info")
    if published is None:
        raise RowError("verification_info: is missing")
    return published
