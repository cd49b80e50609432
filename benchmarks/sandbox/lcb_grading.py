"""How LiveCodeBench grades one answer inside a process, written anew from what its evaluation does.

Source: LiveCodeBench/LiveCodeBench, lcb_runner/evaluation/testing_util.py (run_test). All tests run in one process
that never comes back to use, under SIGALRM: a function-call answer is defined once and called per test; a standard
input answer becomes the body of a function that is called per test with patched streams. Per test the result is True,
False or -2 (wrong answer), -3 (time-out) or -4 (an exception); the first that is not True is the last.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import faulthandler
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal, InvalidOperation
from types import ModuleType
from typing import Any
from unittest.mock import mock_open, patch

import numpy as np  # noqa: F401 - the peer has it imported before it forks, so its answers find it imported

WRONG, TIME_OUT, FAILED = -2, -3, -4
Results = list[bool | int]
_STAR = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)
HEADER = "\n".join(
    [
        *(f"from {name} import *" for name in f"{_STAR} builtins typing".split()),
        *(f"import {name}" for name in _STAR.split()),
        "sys.setrecursionlimit(50000)\n",
    ]
)
_OS_NAMES = (
    "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace "
    "unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir"
)


class AnswerTimeoutError(Exception):
    """The alarm went off."""


def run_test(input_output: str, answer: str, timeout: int, *, lean: bool = False) -> Results:
    """The results of an answer's tests. Changes this process for good: nothing else should run in it.

    `lean` leaves out what the peer does for each standard input test without any effect on its result: see `_patched`.
    """
    signal.signal(signal.SIGALRM, _on_alarm)
    guard()
    tests = json.loads(input_output)
    signal.alarm(timeout)
    try:
        if tests.get("fn_name") is None:
            return grade_stdin(answer, tests["inputs"], tests["outputs"], timeout, lean=lean)
        return grade_calls(answer, tests["inputs"], tests["outputs"], tests["fn_name"], timeout)
    except Exception:  # noqa: BLE001 - as there: whatever it is, the answer failed
        return [FAILED]
    finally:
        signal.alarm(0)


def grade_calls(answer: str, inputs: list[str], outputs: list[str], name: str, timeout: int) -> Results:
    """Inputs are a JSON value per line, outputs one JSON value. A returned tuple counts as a list."""
    function = getattr(_define(f"{HEADER}\n\n{answer}", timeout), name)
    arguments = [[json.loads(line) for line in text.split("\n")] for text in inputs]
    results: Results = []
    for given, expected in zip(arguments, map(json.loads, outputs), strict=False):
        signal.alarm(timeout)
        faulthandler.enable()
        try:
            value = function(*given)
            signal.alarm(0)
            if isinstance(value, tuple):
                value = list(value)
            results.append(value == expected)
        except Exception as error:  # noqa: BLE001
            results.append(_failed(error))
        finally:
            signal.alarm(0)
            faulthandler.disable()
        if results[-1] is not True:
            break
    return results


def grade_stdin(answer: str, inputs: list[str], outputs: list[str], timeout: int, *, lean: bool = False) -> Results:
    """What is printed counts, line by line."""
    with_input = _with_input if lean else _patched
    function = _define(as_function(without_main_guard(answer)), timeout).wrapped_function
    results: Results = []
    for text, expected in zip(inputs, outputs, strict=False):
        signal.alarm(timeout)
        faulthandler.enable()
        before, sys.stdout = sys.stdout, io.StringIO()
        try:
            with_input(function, text)
            signal.alarm(0)
            printed = sys.stdout.getvalue()
            results.append(True if outputs_equal(printed, expected) else WRONG)
        except Exception as error:  # noqa: BLE001
            results.append(_failed(error))
        finally:
            sys.stdout = before
            signal.alarm(0)
            faulthandler.disable()
        if results[-1] is not True:
            break
    return results


class Input:
    """Standard input as answers find it there: text, bytes in `buffer`, and no way to loop over it."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text)
        self.text = text
        self.buffer = InputBytes(text)

    def read(self, *_: object) -> str:
        """All of it, always."""
        return self.text

    def readline(self, *size: int) -> str:
        """The next line."""
        return self._lines.readline(*size)

    def readlines(self, *_: object) -> list[str]:
        """All of it, always, lines without their ends."""
        return self.text.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


class InputBytes:
    """The `buffer` of Input."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()

    def read(self, *_: object) -> bytes:
        """All of it, always."""
        return self.data

    def readline(self, *_: object) -> bytes:
        """The first line, always."""
        return self.data.split(b"\n")[0] + b"\n"


def _patched(function: Any, text: str) -> None:
    """Call it as the peer does.

    Most of that is work without effect: what the header imports hides the patched `open`, and the methods are patched
    on the standard input that is then replaced.
    """
    lines = iter(text.split("\n"))
    with (
        patch("sys.stdin.read", lambda *_: text),
        patch("sys.stdin.readlines", lambda *_: text.split("\n")),
        patch("sys.stdin.readline", lambda *_: next(lines)),
        patch("sys.stdin", Input(text)),
        patch("builtins.open", mock_open(read_data=text)),
        contextlib.suppress(SystemExit),
    ):
        function()


def _with_input(function: Any, text: str) -> None:
    """The same at its cheapest."""
    before = sys.stdin
    sys.stdin = Input(text)  # type: ignore[assignment]
    try:
        with contextlib.suppress(SystemExit):
            function()
    finally:
        sys.stdin = before


def outputs_equal(printed: str, expected: str) -> bool:
    """Stripped lines are equal as text, or word by word as decimals."""
    ours, theirs = ([line.strip() for line in text.strip().split("\n")] for text in (printed, expected))
    return len(ours) == len(theirs) and all(map(_lines_equal, ours, theirs))


def _lines_equal(left: str, right: str) -> bool:
    if left == right:
        return True
    try:
        return [Decimal(word) for word in left.split()] == [Decimal(word) for word in right.split()]
    except InvalidOperation:
        return False


def without_main_guard(answer: str) -> str:
    """The answer with the body of a last `if __name__ == '__main__':` in its place."""
    try:
        tree = ast.parse(answer)
        last = tree.body[-1]
        if isinstance(last, ast.If) and ast.unparse(last.test).strip() == "__name__ == '__main__'":
            tree.body[-1:] = last.body
            return ast.unparse(tree)
    except Exception:  # noqa: BLE001 - what cannot be parsed is left as it is
        pass
    return answer


def as_function(answer: str) -> str:
    """The answer's imports, and the rest of it as the body of `wrapped_function`."""
    try:
        body = ast.parse(answer).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return answer
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    no_arguments = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    function = ast.FunctionDef(name="wrapped_function", args=no_arguments, body=rest, decorator_list=[], lineno=-1)
    imported = ast.unparse(ast.Module(body=list(imports), type_ignores=[]))
    return f"{HEADER}\n{imported}\n{ast.unparse(function)}"


def _define(code: str, timeout: int) -> Any:
    """The module of `code`, or its Solution where it has one."""
    signal.alarm(timeout)
    try:
        module = ModuleType("tmp_sol", "")
        exec(code, module.__dict__)
        return module.Solution() if "class Solution" in code else module
    finally:
        signal.alarm(0)


def _failed(error: Exception) -> int:
    return TIME_OUT if isinstance(error, AnswerTimeoutError) else FAILED


def _on_alarm(*_: object) -> None:
    raise AnswerTimeoutError


def guard() -> None:
    """Take away what could do damage by accident, as there; no protection from an answer that means it."""
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    taken: list[tuple[Any, str]] = [(os, name) for name in _OS_NAMES.split()]
    taken += [(shutil, "rmtree"), (shutil, "move"), (shutil, "chown"), (subprocess, "Popen")]
    taken += [(builtins, "quit"), (builtins, "help")]
    for owner, name in taken:
        setattr(owner, name, None)
    for name in ("ipdb", "joblib", "resource", "psutil", "tkinter"):
        sys.modules[name] = None  # type: ignore[assignment]
