"""Rows of MBPP (google-research-datasets/mbpp, full and sanitized) and its kin as problems. Pure functions.

Only the first test is shown: it names the function and its arguments. The others, and they alone, tell a program that
was worked out from one that answers by heart.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field

from deepcoder_api.problems import AssertionTest, Problem
from deepcoder_data.rows import RowError

INSTRUCTION = "You are an expert Python programmer, and here is your task:"  # of the paper, arXiv 2108.07732


class MbppRow(BaseModel):
    """A row: the task is `text` in the full set and `prompt` in the sanitized one; each test is one assert."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    task_id: str = Field(min_length=1)
    text: str = ""
    prompt: str = ""
    code: str = Field(min_length=1)
    test_list: list[str]
    test_imports: list[str] = []
    test_setup_code: str = ""


def mbpp_problem(row: MbppRow) -> Problem:
    """The problem of a row. Raises RowError or pydantic.ValidationError."""
    task = (row.text or row.prompt).strip()
    if not task:
        raise RowError("text, prompt: one of them must say what is asked for")
    tests = [_parsed(test, "test_list") for test in row.test_list]
    setup = "\n".join([*row.test_imports, row.test_setup_code])
    function = tested_function(_parsed(row.code, "code"), tests) if tests else None
    return Problem(
        id=f"mbpp/{row.task_id}",
        prompt=_prompt(task, row.test_list),
        entry_point=function,
        tests=tuple(AssertionTest(code=_check(setup, function, test)) for test in tests if function),
        solution=row.code,
        source="mbpp",
    )


def tested_function(code: ast.Module, tests: Sequence[ast.Module]) -> str:
    """The function that `code` defines and the first test calls. Raises RowError."""
    defined = {node.name for node in code.body if isinstance(node, ast.FunctionDef)}
    for called in _calls(tests[0]):
        if called in defined:
            return called
    raise RowError("test_list: the first test calls no function that code defines")


def _calls(test: ast.Module) -> Iterator[str]:
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _prompt(task: str, tests: Sequence[str]) -> str:
    shown = f"Your code should pass tests such as this one:\n\n```python\n{tests[0].strip()}\n```\n\n" if tests else ""
    return f"{INSTRUCTION} {task}\n\n{shown}Answer with the whole program in one ```python block."


def _check(setup: str, function: str, test: ast.Module) -> str:
    """The test as a check of its own. Written anew, so that no text of it depends on how far it is indented."""
    body = textwrap.indent(ast.unparse(test), "    ")
    return f"{setup.strip()}\n\n\ndef check(candidate):\n    global {function}\n    {function} = candidate\n{body}\n"


def _parsed(source: str, column: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"{column}: no Python: {str(error).splitlines()[0]}") from error
