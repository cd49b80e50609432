"""Graded answers and specifications for tests of the evaluation."""

from __future__ import annotations

from typing import Any

from deepcoder_api.evaluation import Benchmark, EvaluationSpec
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Problem
from deepcoder_evaluation.answers import GradedAnswer

BENCHMARK = Benchmark.model_validate({"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/held-out.jsonl"})


def graded(problem: str = "a", sample: int = 0, verdict: Verdict = Verdict.ACCEPTED, **changes: Any) -> GradedAnswer:
    """One answer of ten tokens."""
    values: dict[str, Any] = {
        "benchmark": "held-out",
        "problem": problem,
        "sample": sample,
        "seed": 7,
        "prompt": "Add.",
        "answer": "```python\nprint(1)\n```",
        "finish_reason": "stop",
        "prompt_tokens": 4,
        "answer_tokens": 10,
        "seconds": 0.5,
        "verdict": verdict,
        "test_verdicts": (verdict.value,),
        "detail": "",
    }
    return GradedAnswer(**{**values, **changes})


def problem(id: str = "a", **changes: Any) -> Problem:
    """A problem with one stdin test."""
    values = {"id": id, "prompt": f"Solve {id}.", "tests": [{"kind": "stdin", "input": id, "output": "1"}]}
    return Problem.model_validate({**values, **changes})


def evaluation_spec(**parts: Any) -> EvaluationSpec:
    """A specification of one benchmark, greedy."""
    spec: dict[str, Any] = {
        "model": {"uri": "file:///model"},
        "sampling": {"temperature": 0, "maxTokens": 64},
        "benchmarks": [BENCHMARK.model_dump(by_alias=True)],
        "storage": {"uri": "s3://bucket/prefix"},
    }
    return EvaluationSpec.model_validate({**spec, **parts})
