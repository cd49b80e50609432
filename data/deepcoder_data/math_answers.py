"""Rows of mathematical questions with one answer, such as agentica-org/DeepScaleR-Preview-Dataset's. Pure functions."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from deepcoder_api.problems import MAX_MATH_CHARACTERS, MathTest, Problem
from deepcoder_data.rows import RowError

INSTRUCTION = "Let's think step by step and output the final answer within \\boxed{}."
"""What verl's preparation puts after a problem of MATH, and those who train on DeepScaleR's after it do."""


class MathRow(BaseModel):
    """A row: the problem, and its answer as LaTeX. Other columns, such as a worked solution, are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    problem: str = Field(min_length=1)
    answer: str = Field(min_length=1)


def math_problem(row: MathRow) -> Problem:
    """The problem of a row. Raises RowError or pydantic.ValidationError."""
    question, answer = row.problem.strip(), row.answer.strip()
    if len(answer) > MAX_MATH_CHARACTERS:
        raise RowError(f"answer: {len(answer)} characters; at most {MAX_MATH_CHARACTERS} are compared")
    digest = hashlib.sha256(question.encode()).hexdigest()[:16]
    return Problem(
        id=f"math/{digest}",
        prompt=f"{question} {INSTRUCTION}",
        tests=(MathTest(expected=answer),),
        solution=answer,
        source="math",
    )
