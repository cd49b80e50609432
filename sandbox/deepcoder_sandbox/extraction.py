"""The program in a model's answer, and the program that is run for a problem. Pure functions, no I/O."""

from __future__ import annotations

import re

from deepcoder_api.problems import Problem

THINKING_END = "</think>"
_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)^[ \t]*```[ \t]*\r?$", re.MULTILINE | re.DOTALL)
_PYTHON_TAGS = frozenset({"python", "py", "python3"})


def extract_program(answer: str) -> str | None:
    """The last closed fenced block of Python after the end of the model's thinking, or None.

    A block tagged python, py or python3 is preferred to an untagged one; blocks of other languages do not count.
    An answer that ends in mid-thinking (`<think>` without its end) has no program.
    """
    if THINKING_END in answer:
        answer = answer.rpartition(THINKING_END)[2]
    elif "<think>" in answer:
        return None
    blocks = [(match[1].strip().lower(), match[2]) for match in _FENCE.finditer(answer)]
    for wanted in (_PYTHON_TAGS, frozenset({""})):
        programs = [text for tag, text in blocks if tag in wanted]
        if programs:
            return programs[-1]
    return None


def assemble_program(problem: Problem, answer: str) -> str | None:
    """The program that `answer` gives for `problem`, or None when it has none.

    `problem.program_prefix` is put before a program that does not itself define the entry point.
    """
    program = extract_program(answer)
    if program is None or not problem.program_prefix or not problem.entry_point:
        return program
    if _defines(program, problem.entry_point):
        return program
    return problem.program_prefix + program


def _defines(program: str, entry_point: str) -> bool:
    name = re.escape(entry_point.split(".")[0])
    return (
        re.search(
            rf"^(?:async[ \t]+)?(?:def|class)[ \t]+{name}\b|^{name}[ \t]*(?::[^=\n]+)?=(?!=)", program, re.MULTILINE
        )
        is not None
    )
