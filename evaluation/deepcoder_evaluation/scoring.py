"""Scores from graded answers. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

from deepcoder_api.artifacts import BenchmarkReport
from deepcoder_api.evaluation import Benchmark
from deepcoder_api.grading import Verdict
from deepcoder_evaluation.answers import GradedAnswer


def pass_at_k(samples: int, accepted: int, k: int) -> float:
    """Unbiased estimate that one of `k` answers is accepted, from `accepted` of `samples` answers.

    1 - C(samples - accepted, k) / C(samples, k), as the stable product of the Codex paper (arXiv:2107.03374).
    Raises ValueError unless 1 <= k <= samples and 0 <= accepted <= samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"k: {k} is outside 1 to {samples}, the answers there are")
    if not 0 <= accepted <= samples:
        raise ValueError(f"accepted: {accepted} is outside 0 to {samples}, the answers there are")
    if samples - accepted < k:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(samples - accepted + 1, samples + 1))


def score(benchmark: Benchmark, answers: Sequence[GradedAnswer]) -> BenchmarkReport:
    """The score over all answers of a benchmark.

    Raises ValueError when there is none, or when one was not graded: that would count as wrong.
    """
    if not answers:
        raise ValueError(f"benchmark {benchmark.name!r} has no answers to score")
    ungraded = [answer for answer in answers if answer.verdict is Verdict.INTERNAL_ERROR]
    if ungraded:
        raise ValueError(f"problem {ungraded[0].problem!r} of {benchmark.name!r} was not graded: {ungraded[0].detail}")
    by_problem: dict[str, list[GradedAnswer]] = {}
    for answer in answers:
        by_problem.setdefault(answer.problem, []).append(answer)
    shares = [pass_at_k(len(group), sum(a.accepted for a in group), 1) for group in by_problem.values()]
    return BenchmarkReport(
        name=benchmark.name,
        kind=benchmark.kind,
        uri=benchmark.uri,
        problems=len(by_problem),
        samples=len(answers),
        pass_at_1=sum(shares) / len(shares),
        truncated_fraction=sum(a.finish_reason == "length" for a in answers) / len(answers),
        verdicts=dict(sorted(Counter(a.verdict.value for a in answers).items())),
    )
