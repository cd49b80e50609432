"""The user's own problems, one a line in the project's schema (deepcoder_api.problems)."""

from __future__ import annotations

from deepcoder_evaluation.benchmarks.kind import BenchmarkKind

KIND = BenchmarkKind()
