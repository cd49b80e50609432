"""A problem and its tests, as every source is read into and every grader takes them. No I/O."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TEST_BYTES = 16 * 1024 * 1024


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


Test = Annotated[StdinTest | FunctionTest | AssertionTest, Field(discriminator="kind")]


class Problem(Strict):
    """A statement and its tests.

    `prompt` is what the model reads. `entry_point` names the function (`f`) or method (`Solution.f`) that
    function and assertion tests call. `program_prefix` is put before a program that continues it (HumanEval).
    `solution` is a program known to be right, where the source has one.
    """

    id: str = Field(min_length=1, max_length=512)
    prompt: str = Field(min_length=1)
    language: Literal["python"] = "python"
    entry_point: str | None = None
    program_prefix: str | None = None
    tests: tuple[Test, ...]
    solution: str | None = None
    source: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class TestSuite(Strict):
    """What a grader needs of a problem: its tests and how to call the program. Sent once, by content hash."""

    __test__ = False  # pytest: this is not a test class

    entry_point: str | None = None
    tests: tuple[Test, ...] = Field(min_length=1)

    def content_hash(self) -> str:
        """The sha256, in hex, of the canonical JSON of this suite."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()


def test_suite(problem: Problem) -> TestSuite:
    """The part of `problem` that a grader needs. Raises pydantic.ValidationError when it has no tests."""
    return TestSuite(entry_point=problem.entry_point, tests=problem.tests)


test_suite.__test__ = False  # type: ignore[attr-defined]


def canonical_json(value: BaseModel) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
