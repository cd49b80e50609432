r"""Whether two mathematical values in LaTeX are equal, by Hugging Face's math-verify over SymPy.

Imported by a zygote that forks a confined process for each comparison: SymPy may take any time and memory on what a
model wrote (9^{9^{9^9}}), and math-verify's own bound is a signal. Only its LaTeX grammar reads values; its reader of
plain expressions ends in SymPy's parse_expr, which evaluates text as Python. `1/2`, `0.5` and `(x+1)^2` are LaTeX too.
"""

from __future__ import annotations

import logging
from typing import Any

from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig

_LATEX = [LatexExtractionConfig()]


def equal(expected: str, answer: str) -> bool:
    """Whether `answer` is equal to `expected`, or both cannot be read and are the same text.

    Sets, intervals, tuples, matrices, equations and units are as math-verify has them; numbers are equal to 6 places.
    """
    return bool(verify(_read(expected), _read(answer), timeout_seconds=None))


def _read(value: str) -> list[Any]:
    return parse(f"\\boxed{{{value}}}", extraction_config=_LATEX, parsing_timeout=0)  # 0: no bound of its own


def _warm_up() -> None:
    """What the first comparison makes (regular expressions, the grammar's tables) is there for every fork."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that it has no time limit of its own
    for value in ("\\frac{1}{2}", "x^2+1", "(1, \\sqrt{2}]", "\\{1, 2\\}"):
        equal(value, value.replace(" ", "  "))


_warm_up()
