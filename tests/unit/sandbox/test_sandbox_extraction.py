"""Which program an answer holds."""

from __future__ import annotations

import pytest

from deepcoder_api.problems import Problem, StdinTest
from deepcoder_sandbox.extraction import assemble_program, extract_program

A, B = "print(1)\n", "print(2)\n"


def fenced(text: str, tag: str = "python") -> str:
    """`text` as a fenced block."""
    return f"```{tag}\n{text}```\n"


ANSWERS = {
    "one block": (fenced(A), A),
    "text around it": (f"Here:\n{fenced(A)}That is all.", A),
    "the last of two": (fenced(A) + fenced(B), B),
    "py": (fenced(A, "py"), A),
    "Python3": (fenced(A, "Python3"), A),
    "a space before the tag": (fenced(A, " python"), A),
    "no tag": (fenced(A, ""), A),
    "a tagged one before an untagged one": (fenced(A) + fenced(B, ""), A),
    "an untagged one and another language": (fenced(A, "") + fenced(B, "cpp"), A),
    "another language only": (fenced(A, "cpp"), None),
    "indented fence": (f"1. So:\n   ```python\n{A}   ```\n", A),
    "carriage returns": ("```python\r\nprint(1)\r\n```\r\n", "print(1)\r\n"),
    "fence never closed": (f"```python\n{A}", None),
    "closed, then one cut off": (fenced(A) + f"```python\n{B}", A),
    "no fence at all": (A, None),
    "nothing": ("", None),
    "empty block": (fenced(""), ""),
    "inline fence": ("```print(1)```", None),
    "backticks within a line of the program": (fenced('x = "```"\n'), 'x = "```"\n'),
    "after the thinking": (f"<think>{fenced(A)}</think>{fenced(B)}", B),
    "in the thinking only": (f"<think>{fenced(A)}</think>I do not know.", None),
    "thinking that does not end": (f"<think>{fenced(A)}", None),
    "thinking begun by the template": (f"{fenced(A)}</think>{fenced(B)}", B),
    "two ends of thinking": (f"</think>{fenced(A)}</think>{fenced(B)}", B),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_program_is_found(name):
    """The last closed block of Python after the thinking is the program."""
    answer, program = ANSWERS[name]
    assert extract_program(answer) == program


PREFIX = "import math\n\n\ndef f(x):\n    '''Doc.'''\n"
PREFIXED = {
    "continues the function": ("    return x\n", PREFIX + "    return x\n"),
    "defines it": ("def f(x):\n    return x\n", "def f(x):\n    return x\n"),
    "defines it as async": ("async def f(x):\n    return x\n", "async def f(x):\n    return x\n"),
    "binds it": ("f = lambda x: x\n", "f = lambda x: x\n"),
    "defines another": ("def ff(x):\n    return x\n", PREFIX + "def ff(x):\n    return x\n"),
    "only calls it": ("f(1)\n", PREFIX + "f(1)\n"),
    "compares it": ("f == 1\n", PREFIX + "f == 1\n"),
}


@pytest.mark.parametrize("name", PREFIXED)
def test_prefix_is_put_before_a_program_that_lacks_the_entry_point(name):
    """HumanEval's prompt comes first where the answer only continues it."""
    body, program = PREFIXED[name]
    problem = Problem(
        id="a", prompt="b", entry_point="f", program_prefix=PREFIX, tests=(StdinTest(input="", output=""),)
    )
    assert assemble_program(problem, fenced(body)) == program


def test_no_program_stays_none():
    """An answer without a program is not turned into the bare prefix."""
    problem = Problem(id="a", prompt="b", entry_point="f", program_prefix=PREFIX, tests=())
    assert assemble_program(problem, "no") is None


def test_class_is_an_entry_point_by_its_name():
    """`Solution.f` is defined by a class Solution."""
    problem = Problem(id="a", prompt="b", entry_point="Solution.f", program_prefix=PREFIX, tests=())
    assert assemble_program(problem, fenced("class Solution:\n    pass\n")) == "class Solution:\n    pass\n"
