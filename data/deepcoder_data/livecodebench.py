"""Rows of LiveCodeBench (livecodebench/code_generation_lite, and code_generation) as problems. Pure functions.

A problem's tests are its public and then its private ones, as LiveCodeBench grades.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from deepcoder_api.problems import Problem, StdinTest, Test
from deepcoder_api.training_run import Window
from deepcoder_data.embedded_values import json_value
from deepcoder_data.private_tests import COLUMN, private_tests_json
from deepcoder_data.published_tests import entry_point, json_call_test
from deepcoder_data.question_prompts import question_prompt
from deepcoder_data.rows import LeftOut, RowError


class LiveCodeBenchRow(BaseModel):
    """A row. The tests and `metadata`, which names the function where one is asked for, are JSON text."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    question_id: str = Field(min_length=1)
    question_content: str = Field(min_length=1)
    contest_date: datetime
    public_test_cases: str
    private_test_cases: str
    starter_code: str = ""
    metadata: str = "{}"
    platform: str = ""
    difficulty: str = ""


class PublishedTest(BaseModel):
    """One test: a program's input and output, or a function's arguments, a line each, and result, all JSON."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input: str
    output: str
    testtype: Literal["stdin", "functional"]


class Metadata(BaseModel):
    """What the column of that name holds."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    func_name: str | None = None


TESTS = TypeAdapter(list[PublishedTest])


def livecodebench_problem(row: LiveCodeBenchRow, window: Window | None = None) -> Problem | LeftOut:
    """The problem of a row whose contest is within the window. Raises RowError or pydantic.ValidationError."""
    date = row.contest_date.date()
    if window is not None and not window.holds(date):
        return LeftOut("outside_window")
    public = TESTS.validate_python(json_value(row.public_test_cases, "public_test_cases"))
    private = TESTS.validate_python(json_value(private_tests_json(row.private_test_cases), COLUMN))
    name = Metadata.model_validate(json_value(row.metadata or "{}", "metadata")).func_name
    tests, function = tests_by_type([*public, *private], name, row.starter_code)
    metadata = {"contest_date": date.isoformat(), "platform": row.platform, "difficulty": row.difficulty}
    return Problem(
        id=f"livecodebench/{row.question_id}",
        prompt=question_prompt(row.question_content, row.starter_code),
        entry_point=function,
        tests=tests,
        source="livecodebench",
        metadata={name: value for name, value in metadata.items() if value},
    )


def tests_by_type(
    published: list[PublishedTest], name: str | None, starter_code: str | None
) -> tuple[tuple[Test, ...], str | None]:
    """The tests, and the entry point where they call one. Raises RowError."""
    if any(test.testtype == "functional" for test in published) and not name:
        raise RowError("metadata: functional tests need the function's name, func_name")
    tests = tuple(
        json_call_test(test.input, test.output)
        if test.testtype == "functional"
        else StdinTest(input=test.input, output=test.output)
        for test in published
    )
    return tests, entry_point(name, (starter_code,)) if name else None
