"""Solutions as programs that run by themselves."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from deepcoder_data.published_solutions import USUAL_IMPORTS, fenced_program, first_solution, with_usual_imports


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (None, None),
        ("", None),
        (" \n", None),
        ("print(1)", "print(1)"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("Like this:\n```py\na\n```\nor\n```Python3\nb\n```\n", "b\n"),
        ("```\na\n```", "a\n"),
        ("```python\n```", None),
    ],
)
def test_a_program_comes_out_of_its_fence(text: str | None, program: str | None) -> None:
    """The last block is the one; text without any is a program itself."""
    assert fenced_program(text) == program


@pytest.mark.parametrize(
    ("published", "first"),
    [
        (None, None),
        ([], None),
        (["", "a"], "a"),
        ('["a", "b"]', "a"),
        ("print(1)", "print(1)"),
        ("{}", None),
        ("[" * 9999, "[" * 9999),
        ([None, 1, "a"], "a"),
        (7, None),
    ],
)
def test_the_first_program_is_taken(published: Any, first: str | None) -> None:
    """Of a list, or of text that holds one."""
    assert first_solution(published) == first


def test_the_usual_imports_hide_no_builtin_function() -> None:
    """As `from math import *` would hide pow, which takes a modulus."""
    names: dict[str, Any] = {}
    exec(with_usual_imports("queue = deque([gcd(4, 6)])\nfound: List[int] = [math.floor(2.5)]"), names)

    assert names["queue"][0] == 2
    assert [name for name in names if name in vars(builtins) and name != "__builtins__"] == []


def test_a_program_with_imports_from_the_future_stays_as_it_is() -> None:
    """They must come first."""
    program = "from __future__ import annotations\nprint(1)"

    assert with_usual_imports(program) == program
    assert with_usual_imports("print(1)") == f"{USUAL_IMPORTS}print(1)"
