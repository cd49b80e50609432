"""Which program an answer holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.problems import Problem
from deepcoder_sandbox.extraction import RULES, assemble_program, extract_program

A, B = "print(1)\n", "print(2)\n"
PREFIX = "import math\n\n\ndef f(x):\n    '''Doc.'''\n"
CONTINUED = Problem(id="a", prompt="b", entry_point="f", program_prefix=PREFIX, tests=())


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


# By rule: what each takes of an answer, by the sources that its docstring names.
BY_RULE = {
    "one block": (fenced(A), {"lcb": A.strip(), "rllm": A.strip(), "whole": fenced(A).strip()}),
    "the last of two": (fenced(A) + fenced(B), {"lcb": B.strip(), "rllm": B.strip()}),
    "another language": (fenced(A) + fenced(B, "cpp"), {"lcb": B.strip(), "rllm": B.strip()}),
    "a language that is no word": (
        fenced(A) + fenced(B, "c++") + fenced(A),
        {"lcb": A.strip(), "rllm": ""},
    ),
    "a language that is no word at the end": (
        fenced(A) + "So:\n" + fenced(B, "c++"),
        {"lcb": B.strip(), "rllm": A.strip()},
    ),
    "a space before the language": (fenced(A, " python"), {"lcb": A.strip(), "rllm": None}),
    "a last block never closed": (
        fenced(A) + f"Or:\n```python\n{B}",
        {"lcb": "Or:", "rllm": A.strip()},
    ),
    "fence never closed": (f"```python\n{B}", {"lcb": None, "rllm": None}),
    "in the thinking only": (f"<think>{fenced(A)}</think>I do not know.", {"lcb": A.strip(), "rllm": A.strip()}),
    "the end of a block in mid-line": ("```python\nprint(1)```", {"lcb": None, "rllm": "print(1)"}),
    "backticks within a line of the program": (
        fenced('x = "```"\nprint(x)\n'),
        {"lcb": "print(x)", "rllm": 'x = "'},
    ),
    "white space around the program": ("```\n\n  print(1)\n\n```", {"lcb": "\n  print(1)\n", "rllm": "print(1)"}),
    "empty block": (fenced(""), {"lcb": None, "rllm": ""}),
    "no fence at all": (A, {"lcb": None, "rllm": None, "whole": A.strip()}),
    "nothing": (" \n", {"lcb": None, "rllm": None, "whole": None}),
}


@pytest.mark.parametrize("name", BY_RULE)
def test_program_is_found_by_the_named_rule(name):
    """Each harness has its own way to take it out."""
    answer, programs = BY_RULE[name]
    assert {rule: extract_program(answer, rule) for rule in programs} == programs


def test_default_rule_has_a_name():
    """It may be asked for like any other."""
    assert extract_program(fenced(A) + fenced(B, "cpp"), "last-python-block") == A


def test_unknown_rule_is_refused_with_what_is_allowed():
    """Also before an answer is looked at."""
    for take in (extract_program, lambda answer, rule: assemble_program(CONTINUED, answer, rule)):
        with pytest.raises(ValueError, match="'last'; allowed: last-python-block, lcb, rllm, whole"):
            take("", "last")


@given(st.sampled_from(sorted(RULES)), st.text("`a \n<>/think", max_size=60))
@settings(deadline=None)
def test_program_is_part_of_the_answer(rule, answer):
    """Whatever a model writes, a rule raises nothing and adds nothing."""
    program = extract_program(answer, rule)
    assert program is None or program in answer


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
    assert assemble_program(CONTINUED, fenced(body)) == program


def test_prefix_follows_the_rule_too():
    """What the named rule takes out is what the prefix is put before."""
    assert assemble_program(CONTINUED, "    return x\n", "whole") == PREFIX + "return x"
    assert assemble_program(CONTINUED, "```\n    return x\n```", "lcb") == PREFIX + "    return x"


def test_no_program_stays_none():
    """An answer without a program is not turned into the bare prefix."""
    assert assemble_program(CONTINUED, "no") is None


def test_class_is_an_entry_point_by_its_name():
    """`Solution.f` is defined by a class Solution."""
    problem = Problem(id="a", prompt="b", entry_point="Solution.f", program_prefix=PREFIX, tests=())
    assert assemble_program(problem, fenced("class Solution:\n    pass\n")) == "class Solution:\n    pass\n"
