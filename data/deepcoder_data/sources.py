"""The problems of a source of the specification: its files' rows, within its window, with its choice of tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from deepcoder_api.problems import AssertionTest, FunctionTest, MathTest, Problem, StdinTest, Test
from deepcoder_api.training_run import DataSource, ProblemSource, TestLimit
from deepcoder_data.readers import read_source_file
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.source_files import NamedFile


def read_source(source: ProblemSource, files: Sequence[NamedFile]) -> Iterator[Problem | BadRow | SkippedRow]:
    """Every row of the source, in the order of its files. Raises DamagedError, which names the source's URI."""
    limit = source.tests if isinstance(source, DataSource) else TestLimit()
    for file in files:
        uri = f"{source.uri}: {file.name}" if file.name else source.uri
        for row in read_source_file(file.path, uri, source.format, source.window, name=file.name):
            yield limit_tests(row, limit) if isinstance(row, Problem) else row


def source_digest(files: Sequence[NamedFile]) -> str:
    """The sha256, in hex, of what the files hold, in their order: of one file its own, whatever any is called."""
    digests: list[str] = []
    for file in files:
        with file.path.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def limit_tests(problem: Problem, limit: TestLimit) -> Problem:
    """The problem with at most `max_count` tests: those with the longest inputs, in their order."""
    tests = problem.tests
    if limit.max_count is None or len(tests) <= limit.max_count:
        return problem
    longest = sorted(range(len(tests)), key=lambda index: -_input_length(tests[index]))[: limit.max_count]
    return problem.model_copy(update={"tests": tuple(tests[index] for index in sorted(longest))})


def _input_length(test: Test) -> int:
    """Characters that go in: of a call its arguments as JSON, of an assertion its code."""
    match test:
        case StdinTest():
            return len(test.input)
        case FunctionTest():
            return len(json.dumps(test.arguments, separators=(",", ":"), ensure_ascii=False))
        case AssertionTest():
            return len(test.code)
        case MathTest():
            return 0  # the statement is all that goes in
