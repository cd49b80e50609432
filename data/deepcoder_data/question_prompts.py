"""Questions without an instruction of their own, as rLLM and LiveCodeBench put them to a model. Pure functions.

The sentences are LiveCodeBench's (lcb_runner/prompts/code_generation.py), which rLLM trained DeepCoder with
(rllm/system_prompts.py, rllm/data/utils.py): the system message stands first in the one user message. rLLM leaves out
`### Question:` and the empty line before `### Format:`.
"""

from __future__ import annotations

import re

SYSTEM_MESSAGE = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
WITH_STARTER_CODE = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
WITHOUT_STARTER_CODE = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows."
)
ANSWER = "### Answer: (use the provided format with backticks)\n\n"
_TYPING = ("Any", "Callable", "Deque", "Dict", "Iterator", "List", "Optional", "Set", "Tuple", "Union")


def question_prompt(question: str, starter_code: str | None = None) -> str:
    """What the model reads: the question, and either the starter code or that input comes on standard input."""
    starter = starter_code.rstrip() if starter_code else ""
    instruction = WITH_STARTER_CODE if starter else WITHOUT_STARTER_CODE
    block = f"{typing_imports(starter)}{starter}" if starter else "# YOUR CODE HERE"
    return (
        f"{SYSTEM_MESSAGE}\n\n### Question:\n{question.strip()}\n\n"
        f"### Format: {instruction}\n```python\n{block}\n```\n\n{ANSWER}"
    )


def typing_imports(starter_code: str) -> str:
    """The import of the names of `typing` that the starter code uses and does not import.

    The published graders import them before every program. Here a program is run as it is.
    """
    if re.search(r"^[ \t]*(?:from|import)[ \t]+typing\b", starter_code, re.MULTILINE):
        return ""
    used = [name for name in _TYPING if re.search(rf"(?<![\w.]){name}\[", starter_code)]
    return f"from typing import {', '.join(used)}\n\n" if used else ""
