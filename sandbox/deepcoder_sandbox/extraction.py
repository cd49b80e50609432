"""The program in a model's answer, and the program that is run for a problem. Pure functions, no I/O.

Harnesses take the program out by rules of their own, so a rule has a name. HumanEval+ by evalplus has one that is not
here: its `sanitize` (evalplus/sanitize.py) parses every run of lines, keeps the longest that is Python, and of that
the definitions that the entry point needs; made for answers without fences, it takes cubic time. rLLM grades HumanEval+
rows by its own rule, as all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

from deepcoder_api.problems import Problem
from deepcoder_sandbox.final_answer import final_answer
from deepcoder_sandbox.thinking import after_thinking

DEFAULT_RULE = "last-python-block"
_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)^[ \t]*```[ \t]*\r?$", re.MULTILINE | re.DOTALL)
_PYTHON_TAGS = frozenset({"python", "py", "python3"})
_RLLM_FENCE = re.compile(r"```(?:\w+)?\n(.*?)```", re.DOTALL)


def last_python_block(answer: str) -> str | None:
    """The last closed fenced block of Python after the end of the model's thinking, or None.

    A block tagged python, py or python3 is preferred to an untagged one; blocks of other languages do not count.
    An answer that ends in mid-thinking (`<think>` without its end) has no program.
    """
    said = after_thinking(answer) or ""
    blocks = [(match[1].strip().lower(), match[2]) for match in _FENCE.finditer(said)]
    for wanted in (_PYTHON_TAGS, frozenset({""})):
        programs = [text for tag, text in blocks if tag in wanted]
        if programs:
            return programs[-1]
    return None


def between_last_fence_lines(answer: str) -> str | None:
    """LiveCodeBench's rule: the lines between the last two that hold three backticks, whatever else they hold.

    So text between two blocks is taken where the last one was never closed, and thinking is not told from the answer.
    Source: lcb_runner/utils/extraction_utils.py, `extract_code`, for chat models; nothing is what it calls "".
    """
    lines = answer.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    if len(fences) < 2:
        return None
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) or None


def last_block_of_any_language(answer: str) -> str | None:
    """rLLM's rule: the last fenced block, of no or any language, without the white space around it.

    A language is one word of letters, digits and underscores: after ```c++ the pairs of fences begin one too late.
    Source: rllm/rewards/code_reward.py, `extract_code_from_model`, the same at DeepCoder's release and since.
    """
    blocks = _RLLM_FENCE.findall(answer)
    return blocks[-1].strip() if blocks else None


def whole(answer: str) -> str | None:
    """All of it: for a model that answers in code alone. None when there is none."""
    return answer.strip() or None


RULES: MappingProxyType[str, Callable[[str], str | None]] = MappingProxyType(
    {
        DEFAULT_RULE: last_python_block,
        "lcb": between_last_fence_lines,
        "rllm": last_block_of_any_language,
        "whole": whole,
    }
)


def extract_program(answer: str, rule: str = DEFAULT_RULE) -> str | None:
    """The program that `answer` holds by the named rule, or None. Raises ValueError for a name that is none."""
    if rule not in RULES:
        raise ValueError(f"no extraction rule is named {rule!r}; allowed: {', '.join(RULES)}")
    return RULES[rule](answer)


def assemble_program(problem: Problem, answer: str, rule: str = DEFAULT_RULE) -> str | None:
    """The program that `answer` gives for `problem`, or None when it has none. Raises ValueError as extract_program.

    `problem.program_prefix` is put before a program that does not itself define the entry point. For a problem with
    math tests it is the value of the last \\boxed{}, by whatever rule programs are taken.
    """
    if problem.is_math:
        return final_answer(answer)
    program = extract_program(answer, rule)
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
