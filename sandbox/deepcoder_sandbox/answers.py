"""Whether what a program gave is right: by a profile's comparison, or by the problem's own checker where it has one."""

from __future__ import annotations

from typing import Any

from deepcoder_api.grading import Profile
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite
from deepcoder_sandbox.checker import Checker
from deepcoder_sandbox.comparators.difference import shorten
from deepcoder_sandbox.comparators.registry import comparator
from deepcoder_sandbox.launcher import Launcher


class Answers:
    """Decides on the answers to one suite's tests. `close` must follow."""

    def __init__(self, launcher: Launcher, suite: TestSuite, profile: Profile) -> None:
        self._comparator = comparator(profile, suite.tolerance)
        self._checker = Checker(launcher, suite.checker) if suite.checker else None

    def output_objection(self, test: StdinTest, output: str) -> str | None:
        """Why what was printed is not right, in one line for people; None when it is. Raises LauncherFailedError."""
        if self._checker is not None:
            return self._checker.objection(test.input, output, test.output)
        if self._comparator.stdout_matches(test.output, output):
            return None
        return self._comparator.stdout_difference(test.output, output)

    def value_objection(self, test: FunctionTest, value: Any) -> str | None:
        """Why what a call returned is not right; None when it is. Raises LauncherFailedError."""
        if self._checker is not None:
            return self._checker.objection(test.arguments, value, test.expected)
        if self._comparator.values_equal(test.expected, value):
            return None
        return f"expected {shorten(test.expected)}, got {shorten(value)}"

    def close(self) -> None:
        """End the checker's process. Raises LauncherFailedError."""
        if self._checker is not None:
            self._checker.close()
