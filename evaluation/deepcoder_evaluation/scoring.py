"""Scores from the outcomes of answers. Pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import prod
from statistics import fmean, stdev

from deepcoder_api.evaluation_report import BenchmarkReport, GroupScore, LengthHistogram, LengthScore
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Problem
from deepcoder_evaluation.answers import Outcome
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.intervals import bootstrap_interval

GROUPS = ("difficulty", "platform", "year")
DIFFICULTIES = ("easy", "medium", "hard")
MONTH_OF = "contest_date"
BINS = 24


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


def powers_of_two(count: int) -> list[int]:
    """1, 2, 4, ... up to `count`, and `count` itself: the k that pass@k is told for."""
    found = [1]
    while found[-1] * 2 <= count:
        found.append(found[-1] * 2)
    return found if found[-1] == count else [*found, count]


def problem_shares(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The share of accepted answers of each problem."""
    return {problem: fmean(one.accepted for one in group) for problem, group in by_problem(outcomes).items()}


def by_problem(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each problem."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        found[one.problem].append(one)
    return dict(found)


def length_score(loaded: LoadedBenchmark, outcomes: Sequence[Outcome]) -> LengthScore:
    """The score at one response limit, from the outcomes at it.

    Raises ValueError when there is none, or when one was not graded: that would count as wrong.
    """
    if not outcomes:
        raise ValueError(f"benchmark {loaded.name!r} has no answers to score")
    ungraded = [one for one in outcomes if one.verdict is Verdict.INTERNAL_ERROR]
    if ungraded:
        raise ValueError(f"problem {ungraded[0].problem!r} of {loaded.name!r} was not graded: {ungraded[0].detail}")
    groups = by_problem(outcomes)
    shares = problem_shares(outcomes)
    fewest = min(map(len, groups.values()))
    repeats = tuple(
        fmean(problem_shares(o for o in outcomes if o.repeat == repeat).values())
        for repeat in sorted({one.repeat for one in outcomes})
    )
    rating = loaded.kind.rating(loaded.benchmark, loaded.context, outcomes)
    return LengthScore(
        tokens=outcomes[0].tokens,
        exact=all(one.exact for one in outcomes),
        pass_at_1=fmean(shares.values()),
        interval=bootstrap_interval(list(shares.values())),
        pass_at_k={
            str(k): fmean(pass_at_k(len(g), sum(one.accepted for one in g), k) for g in groups.values())
            for k in powers_of_two(fewest)
        },
        repeats=repeats,
        standard_deviation=stdev(repeats) if len(repeats) > 1 else None,
        truncated_fraction=fmean(one.finish_reason == "length" for one in outcomes),
        verdicts=dict(sorted(Counter(one.verdict.value for one in outcomes).items())),
        subsets=_subset_scores(loaded, groups),
        groups=_group_scores(loaded.problems, shares),
        rating=rating.rating if rating else None,
    )


def benchmark_report(loaded: LoadedBenchmark, outcomes: Sequence[Outcome], extraction: str) -> BenchmarkReport:
    """The report on one benchmark from the outcomes at all response limits. Raises ValueError as `length_score`."""
    limits = sorted({one.tokens for one in outcomes})
    at = {limit: [one for one in outcomes if one.tokens == limit] for limit in limits}
    final = at[limits[-1]] if limits else []
    scores = tuple(length_score(loaded, at[limit]) for limit in limits)
    if not scores:
        raise ValueError(f"benchmark {loaded.name!r} has no answers to score")
    benchmark = loaded.benchmark
    return BenchmarkReport(
        name=benchmark.name,
        kind=benchmark.kind,
        uri=benchmark.uri,
        sha256=loaded.sha256,
        problems_sha256=loaded.problems_sha256,
        settings=loaded.kind.settings(benchmark),
        extraction=extraction,
        problems=len(loaded.problems),
        left_out=loaded.left_out,
        samples=len(final),
        samples_per_prompt=max(one.sample for one in final) + 1,
        repeats=benchmark.repeats,
        scores=scores,
        mean_answer_tokens=fmean(one.answer_tokens for one in final),
        lengths=length_histogram(final),
        rating=loaded.kind.rating(benchmark, loaded.context, final),
    )


def length_histogram(outcomes: Sequence[Outcome]) -> LengthHistogram:
    """How long accepted and other answers are, in bins of equal width."""
    longest = max(one.answer_tokens for one in outcomes)
    width = max(1, -(-(longest + 1) // BINS))
    bins = longest // width + 1
    counts = {accepted: [0] * bins for accepted in (True, False)}
    for one in outcomes:
        counts[one.accepted][one.answer_tokens // width] += 1
    edges = tuple(width * place for place in range(bins + 1))
    return LengthHistogram(edges=edges, accepted=tuple(counts[True]), others=tuple(counts[False]))


def _subset_scores(loaded: LoadedBenchmark, groups: dict[str, list[Outcome]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for problem in loaded.problems:
        for name, tests in loaded.kind.subsets(problem).items():
            found[name].append(fmean(one.passes_first(tests) for one in groups[problem.id]))
    return {name: fmean(shares) for name, shares in found.items()}


def _group_scores(problems: Sequence[Problem], shares: dict[str, float]) -> dict[str, dict[str, GroupScore]]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for problem in problems:
        for name, value in groups_of(problem).items():
            found[name][value].append(shares[problem.id])
    return {
        name: {
            value: GroupScore(problems=len(found[name][value]), pass_at_1=fmean(found[name][value]))
            for value in sorted(found[name], key=_in_order)
        }
        for name in sorted(found)
    }


def _in_order(value: str) -> tuple[int, str]:
    """Easy before medium before hard; all else by name."""
    return (DIFFICULTIES.index(value) if value in DIFFICULTIES else len(DIFFICULTIES), value)


def groups_of(problem: Problem) -> dict[str, str]:
    """What a problem says of itself that scores are also told by, such as difficulty or the month of its contest."""
    given = {name: problem.metadata[name] for name in GROUPS if problem.metadata.get(name)}
    date = problem.metadata.get(MONTH_OF)
    return {**given, **({"month": date[:7]} if date else {})}
