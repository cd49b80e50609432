"""Solutions as data sets publish them, as programs that run by themselves. Pure functions."""

from __future__ import annotations

import json
import re
from typing import Any, cast

_FENCED = re.compile(r"```(?:python3?|py)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import", re.MULTILINE)

USUAL_IMPORTS = """\
import bisect, collections, copy, datetime, fractions, functools, heapq, itertools, math, operator, random, re, string
import sys, time
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache, cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush, heappushpop, heapreplace, nlargest, nsmallest
from itertools import accumulate, chain, combinations, count, cycle, groupby, permutations, product
from math import ceil, comb, cos, exp, factorial, floor, gcd, inf, log, log2, pi, sin, sqrt, tan
from typing import *

"""
"""What the graders of TACO and LiveCodeBench put before a program, less what would hide a builtin function."""


def with_usual_imports(program: str) -> str:
    """A solution that was only ever run behind those imports, with them."""
    return program if _FUTURE.search(program) else USUAL_IMPORTS + program


def first_solution(published: Any) -> str | None:
    """The first program of a list of them, which may be text that holds JSON; None when there is none."""
    if isinstance(published, str):
        try:
            published = json.loads(published) if published.strip() else []
        except (ValueError, RecursionError):
            published = [published]
    if not isinstance(published, list):
        return None
    programs = (_program(one) for one in cast(list[Any], published))
    return next((program for program in programs if program), None)


def _program(published: Any) -> str | None:
    return fenced_program(published) if isinstance(published, str) else None


def fenced_program(text: str | None) -> str | None:
    """The last block of Python in `text`, all of it when there is no block; None for no program at all."""
    blocks = _FENCED.findall(text or "")
    program = blocks[-1] if blocks else text or ""
    return program if program.strip() else None
