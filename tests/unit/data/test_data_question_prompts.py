"""How a question without an instruction is put."""

from __future__ import annotations

import pytest

from deepcoder_data.question_prompts import question_prompt, typing_imports


def test_starter_code_stands_in_place_of_the_instruction_on_standard_input() -> None:
    """With LiveCodeBench's sentence for it."""
    prompt = question_prompt("Double it.\n", "def double(number):\n\t")

    assert "### Question:\nDouble it.\n\n### Format: You will use the following starter code" in prompt
    assert "```python\ndef double(number):\n```\n\n### Answer:" in prompt
    assert "stdin" not in prompt


@pytest.mark.parametrize(
    ("starter", "imports"),
    [
        ("def f(a): ...", ""),
        ("def f(a: list[int]): ...", ""),
        ("def f(a: List[Optional[int]]) -> Dict[str, int]: ...", "from typing import Dict, List, Optional\n\n"),
        ("def f(a: typing.List[int]): ...", ""),
        ("from typing import List\ndef f(a: List[int]): ...", ""),
        ("def f(MyList[0]): ...", ""),
    ],
)
def test_names_of_typing_are_imported_where_the_starter_code_uses_them(starter: str, imports: str) -> None:
    """A program that keeps the starter code as it is must run."""
    assert typing_imports(starter) == imports
