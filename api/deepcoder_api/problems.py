"""A problem and its tests, as every source is read into and every grader takes them. No I/O."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TEST_BYTES = 16 * 1024 * 1024
MAX_CHECKER_CHARACTERS = 256 * 1024
MAX_MATH_CHARACTERS = 1000
MAX_TEST_SECONDS = 300


class Strict(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StdinTest(Strict):
    """A program is run with `input` on standard input; what it prints must match `output`."""

    kind: Literal["stdin"] = "stdin"
    input: str
    output: str


class FunctionTest(Strict):
    """The entry point is called with `arguments`; what it returns must equal `expected`. Both are JSON values."""

    kind: Literal["function"] = "function"
    arguments: list[Any]
    expected: Any


class AssertionTest(Strict):
    """`code` defines `check(candidate)`, called with the entry point; it passes when nothing is raised."""

    kind: Literal["assertion"] = "assertion"
    code: str


class MathTest(Strict):
    """The answer's last \\boxed{} must be equal to `expected`, both LaTeX. Such a problem has no program."""

    kind: Literal["math"] = "math"
    expected: str = Field(min_length=1, max_length=MAX_MATH_CHARACTERS)


class Tolerance(Strict):
    """How far a number may be from the expected one: at most absolute, or relative times the expected one's size."""

    absolute: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    relative: float = Field(default=0.0, ge=0, allow_inf_nan=False)


Test = Annotated[StdinTest | FunctionTest | AssertionTest | MathTest, Field(discriminator="kind")]


class Problem(Strict):
    """A statement and its tests.

    `prompt` is what the model reads. `entry_point` names the function (`f`) or method (`Solution.f`) that
    function and assertion tests call. `program_prefix` is put before a program that continues it (HumanEval).
    `tolerance`, `checker` and `timeout_seconds` are as in TestSuite. `solution` is a program known to be right, where
    the source has one; of a problem with math tests it is the value.
    """

    id: str = Field(min_length=1, max_length=512)
    prompt: str = Field(min_length=1)
    language: Literal["python"] = "python"
    entry_point: str | None = None
    program_prefix: str | None = None
    tests: tuple[Test, ...]
    tolerance: Tolerance | None = None
    checker: str | None = Field(default=None, max_length=MAX_CHECKER_CHARACTERS)
    timeout_seconds: float | None = Field(default=None, gt=0, le=MAX_TEST_SECONDS)
    solution: str | None = None
    source: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def is_math(self) -> bool:
        """Whether an answer is a value and no program."""
        return any(isinstance(test, MathTest) for test in self.tests)


class TestSuite(Strict):
    """What a grader needs of a problem: its tests and how to call the program. Sent once, by content hash.

    Numbers are compared within `tolerance` where the problem states one, else exactly. `checker` is for problems with
    several right answers: a program that defines `check(input, output, expected) -> bool` and decides in place of the
    comparison. Of a stdin test it gets the texts, of a function test the arguments and both values; assertion tests
    have none. It is the problem's, never the model's, and runs in a process of its own. `timeout_seconds` of one test
    stands in place of the limit that the caller gives; math tests have neither.
    """

    __test__ = False  # pytest: this is not a test class

    entry_point: str | None = None
    tests: tuple[Test, ...] = Field(min_length=1)
    tolerance: Tolerance | None = None
    checker: str | None = Field(default=None, max_length=MAX_CHECKER_CHARACTERS)
    timeout_seconds: float | None = Field(default=None, gt=0, le=MAX_TEST_SECONDS)

    def content_hash(self) -> str:
        """The sha256, in hex, of the canonical JSON of this suite. Worked out once."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()


def test_suite(problem: Problem) -> TestSuite:
    """The part of `problem` that a grader needs. Raises pydantic.ValidationError when it has no tests."""
    return TestSuite(
        entry_point=problem.entry_point,
        tests=problem.tests,
        tolerance=problem.tolerance,
        checker=problem.checker,
        timeout_seconds=problem.timeout_seconds,
    )


test_suite.__test__ = False  # type: ignore[attr-defined]


def canonical_json(value: BaseModel) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
