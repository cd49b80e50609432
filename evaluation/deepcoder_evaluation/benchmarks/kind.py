"""What a kind of benchmark is: how its files become problems, and what is scored beyond pass@k.

A file of this package defines one kind: a subclass of BenchmarkKind, and an instance of it named KIND. The registry
finds it by its name; what users may write is the same name in api's BenchmarkKind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.evaluation_report import RatingReport
from deepcoder_api.grading import Profile
from deepcoder_api.problems import Problem
from deepcoder_data.readers import BadRow, SkippedRow, read_source_file
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.answers import Outcome
from deepcoder_sandbox.extraction import DEFAULT_RULE

Row = Problem | BadRow | SkippedRow
RULES: dict[Profile, str] = {"strict": DEFAULT_RULE, "lcb-v5": "lcb", "rllm-release": "rllm", "rllm-main": "rllm"}
"""Whose grading rules, whose way to take the program out of an answer."""


class BenchmarkKind:
    """Problems in the project's own schema; kinds change what differs. Nothing here keeps state."""

    name = "jsonl"

    def uris(self, benchmark: Benchmark) -> tuple[str, ...]:
        """The URIs of the files, folders or names with * that the problems are in, in order."""
        return (benchmark.uri,)

    def rows(self, benchmark: Benchmark, file: Path, uri: str, name: str) -> Iterator[Row]:
        """The problems of one file. Raises DamagedError."""
        return read_source_file(file, uri, "jsonl", name=name)

    def extraction(self, profile: Profile) -> str:
        """The rule of deepcoder_sandbox.extraction that takes the program out of an answer."""
        return DEFAULT_RULE

    def settings(self, benchmark: Benchmark) -> dict[str, str]:
        """What of the specification chose the problems, for the report."""
        return {}

    def context(self, benchmark: Benchmark, problems: Sequence[Problem], store: ObjectStore) -> Any:
        """What scores need beside answers. Raises StoreError, or ValueError for what cannot be read."""
        return None

    def subsets(self, problem: Problem) -> dict[str, int]:
        """Parts of the problem's tests that have a score of their own: how many of the first tests each is."""
        return {}

    def rating(self, benchmark: Benchmark, context: Any, outcomes: Sequence[Outcome]) -> RatingReport | None:
        """A rating from the outcomes of all answers."""
        return None


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark with its problems, in the order of its files.

    `sha256` is of the files, `problems_sha256` of what is asked and graded; `left_out` counts rows by reason.
    """

    benchmark: Benchmark
    kind: BenchmarkKind
    problems: tuple[Problem, ...]
    left_out: dict[str, int]
    sha256: str
    problems_sha256: str
    context: Any = None

    @property
    def name(self) -> str:
        """Its name in the report."""
        return self.benchmark.name
