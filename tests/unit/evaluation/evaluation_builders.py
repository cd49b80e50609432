"""Outcomes, problems, specifications and jobs for tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_evaluation.answers import Outcome
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.benchmarks.registry import kinds
from deepcoder_evaluation.job import EvaluationJob, Sampling, job_of

BENCHMARK = Benchmark.model_validate({"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/held-out.jsonl"})
SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=64, samples_per_prompt=1, seed=5)


def outcome(problem: str = "a", sample: int = 0, verdict: Verdict = Verdict.ACCEPTED, **changes: Any) -> Outcome:
    """One answer of ten tokens under a limit of 64."""
    values: dict[str, Any] = {
        "benchmark": "held-out",
        "problem": problem,
        "repeat": 0,
        "sample": sample,
        "tokens": 64,
        "exact": True,
        "finish_reason": "stop",
        "answer_tokens": 10,
        "seconds": 0.5,
        "verdict": verdict,
        "test_verdicts": (verdict.value,),
        "detail": "",
    }
    return Outcome(**{**values, **changes})


def problem(id: str = "a", **changes: Any) -> Problem:
    """A problem with one stdin test."""
    values = {"id": id, "prompt": f"Solve {id}.", "tests": [{"kind": "stdin", "input": id, "output": "1"}]}
    return Problem.model_validate({**values, **changes})


def evaluation_spec(**parts: Any) -> EvaluationSpec:
    """A specification of one benchmark, greedy."""
    spec: dict[str, Any] = {
        "model": {"uri": "file:///model"},
        "sampling": {"temperature": 0, "maxTokens": 64},
        "benchmarks": [BENCHMARK.model_dump(by_alias=True, exclude_none=True)],
        "storage": {"uri": "s3://bucket/prefix"},
    }
    return EvaluationSpec.model_validate({**spec, **parts})


def evaluation_job(**parts: Any) -> EvaluationJob:
    """The job of such a specification, of a model that is served as `policy`."""
    return job_of(
        ResolvedEvaluation(
            namespace="default",
            name="before",
            uid="0123456789",
            spec=evaluation_spec(**parts),
            model_uri="file:///model",
            model_name="policy",
        )
    )


def loaded(problems: Sequence[Problem] = (), context: Any = None, **benchmark: Any) -> LoadedBenchmark:
    """A benchmark with these problems; `benchmark` is what is said of it."""
    given = {"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/held-out.jsonl", **benchmark}
    one = Benchmark.model_validate(given)
    return LoadedBenchmark(
        benchmark=one,
        kind=kinds()[one.kind],
        problems=tuple(problems) or (problem("a"), problem("b")),
        left_out={},
        sha256="0" * 64,
        problems_sha256="1" * 64,
        context=context,
    )


def write_problems(folder: Path, count: int) -> str:
    """The URI of a file of problems p0, p1, ... in `folder`."""
    file = folder / "held-out.jsonl"
    file.write_text("".join(problem(f"p{number}").model_dump_json() + "\n" for number in range(count)))
    return f"file://{file}"
