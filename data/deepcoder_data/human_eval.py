"""Rows of openai/human-eval (github.com/openai/human-eval, HumanEval.jsonl.gz) as problems. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from deepcoder_api.problems import AssertionTest, Problem

INSTRUCTION = (
    "Complete the Python function below. Answer with the whole program in one ```python block: "
    "the imports and helper functions it needs, and the complete function.\n\n"
)


class CompletionRow(BaseModel):
    """What rows of HumanEval and HumanEval+ share. `prompt` is the program up to and with the function's docstring."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task_id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    entry_point: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    canonical_solution: str


class HumanEvalRow(CompletionRow):
    """A row as it is published."""

    test: str = Field(min_length=1)


def human_eval_problem(row: HumanEvalRow) -> Problem:
    """The problem of a row. Raises pydantic.ValidationError."""
    return completion_problem(row, [assertion_code(row)], source="humaneval")


def completion_problem(
    row: CompletionRow, assertions: Iterable[str], *, source: str, metadata: Mapping[str, str] | None = None
) -> Problem:
    """The problem of completing a row's function, with a test for each of `assertions`. Raises ValidationError.

    A chat model is asked for the whole program; one that only continues the function is read too, because
    `program_prefix` is put before a program that does not define the entry point.
    """
    return Problem(
        id=row.task_id,
        prompt=f"{INSTRUCTION}```python\n{row.prompt.rstrip()}\n```",
        entry_point=row.entry_point,
        program_prefix=row.prompt,
        tests=tuple(AssertionTest(code=code) for code in assertions),
        solution=row.prompt + row.canonical_solution,
        source=source,
        metadata=dict(metadata or {}),
    )


def assertion_code(row: HumanEvalRow) -> str:
    """The row's check with the names that it may use.

    The published harness runs the check in the program's own namespace: some use helper functions of the prompt
    (HumanEval/32), one the function itself by its name (HumanEval/33). Here the check runs apart from the program,
    so the prompt's definitions come before it, and the function's name is bound to the candidate.
    """
    return (
        f"{row.prompt.rstrip()}\n\n\n{row.test.strip()}\n\n\n"
        f"_published_check = check\n\n\n"
        f"def check(candidate):\n"
        f"    global {row.entry_point}\n"
        f"    {row.entry_point} = candidate\n"
        f"    _published_check(candidate)\n"
    )
