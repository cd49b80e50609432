"""The report of an evaluation from its outcomes, and whether an earlier report is of the very same one. Pure."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata

from deepcoder_api.evaluation import CARD_MAX_TOKENS
from deepcoder_api.evaluation_report import (
    AnswerSampling,
    BenchmarkReport,
    Engine,
    EvaluationReport,
    Grader,
    MeasuredModel,
)
from deepcoder_api.evaluation_status import BenchmarkScore, LengthPass
from deepcoder_evaluation.answers import Outcome
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.job import EvaluationJob
from deepcoder_evaluation.scoring import benchmark_report
from deepcoder_evaluation.tokenizers_of_models import ModelTokenizer

SOFTWARE = ("deepcoder-operator", "httpx", "pyarrow", "pydantic", "tokenizers", "transformers")


@dataclass(frozen=True)
class Circumstances:
    """What the outcomes do not say: the model's digest, its tokenizer, the engine's version, the sandbox's kernel."""

    model_digest: str | None
    tokenizer: ModelTokenizer | None
    engine_version: str
    isolation: str


def measured_model(job: EvaluationJob, model_digest: str | None, tokenizer: ModelTokenizer | None) -> MeasuredModel:
    """What the report says of the model."""
    return MeasuredModel(
        uri=job.model,
        name=job.model_name,
        digest=model_digest,
        tokenizer_sha256=tokenizer.sha256 if tokenizer else None,
        chat_template_sha256=tokenizer.chat_template_sha256 if tokenizer else None,
    )


def evaluation_report(
    job: EvaluationJob,
    benchmarks: Sequence[LoadedBenchmark],
    outcomes: Mapping[str, Sequence[Outcome]],
    around: Circumstances,
    seconds: float,
) -> EvaluationReport:
    """The report. Raises ValueError for an answer that was not graded."""
    reports = tuple(benchmark_report(one, outcomes[one.name], one.kind.extraction(job.profile)) for one in benchmarks)
    return EvaluationReport(
        namespace=job.namespace,
        name=job.name,
        model=measured_model(job, around.model_digest, around.tokenizer),
        engine=Engine(kind=job.engine, version=around.engine_version, arguments=job.engine_arguments),
        sampling=AnswerSampling(**asdict(job.sampling)),
        grader=Grader(profile=job.profile, limits=job.limits, isolation=around.isolation),
        benchmarks=reports,
        warnings=tuple(_warnings(job, reports, around.tokenizer)),
        seconds=seconds,
        software={**{name: metadata.version(name) for name in SOFTWARE}, "python": platform.python_version()},
    )


def is_of(
    report: EvaluationReport, job: EvaluationJob, benchmarks: Sequence[LoadedBenchmark], model: MeasuredModel
) -> bool:
    """Whether the report is of this very job: the model, how it was asked, what, and by whose rules."""
    asked = [
        (one.name, one.benchmark.kind, one.problems_sha256, one.kind.settings(one.benchmark), one.benchmark.repeats)
        for one in benchmarks
    ]
    reported = [(one.name, one.kind, one.problems_sha256, one.settings, one.repeats) for one in report.benchmarks]
    return (
        report.model == model
        and report.sampling == AnswerSampling(**asdict(job.sampling))
        and (report.grader.profile, report.grader.limits) == (job.profile, job.limits)
        and (report.engine.kind, report.engine.arguments) == (job.engine, job.engine_arguments)
        and asked == reported
        and all(tuple(score.tokens for score in one.scores) == job.lengths for one in report.benchmarks)
    )


def status_scores(report: EvaluationReport) -> tuple[BenchmarkScore, ...]:
    """The scores as a resource's status has them."""
    return tuple(
        BenchmarkScore(
            name=one.name,
            problems=one.problems,
            passAt1=one.pass_at_1,
            rating=one.rating.rating if one.rating else None,
            percentile=one.rating.percentile if one.rating else None,
            lengths=[LengthPass(tokens=score.tokens, passAt1=round(score.pass_at_1, 6)) for score in one.scores],
        )
        for one in report.benchmarks
    )


def _warnings(job: EvaluationJob, reports: Sequence[BenchmarkReport], tokenizer: ModelTokenizer | None) -> list[str]:
    found: list[str] = []
    limit = job.sampling.max_tokens
    if limit < CARD_MAX_TOKENS and tokenizer is not None and tokenizer.is_for_reasoning:
        found.append(
            f"the model thinks before it answers, and {limit} tokens are fewer than the card's {CARD_MAX_TOKENS}"
        )
    if job.sampling.system_prompt:
        found.append("a system prompt was used; the card's numbers are without one")
    for one in reports:
        found += _benchmark_warnings(one)
    return found


def _benchmark_warnings(report: BenchmarkReport) -> list[str]:
    found: list[str] = []
    approximate = [str(score.tokens) for score in report.scores if not score.exact]
    if approximate:
        found.append(f"{report.name}: the scores at {', '.join(approximate)} tokens are approximate (tokenised again)")
    if report.rating is None:
        return found
    skipped = [one for one in report.rating.contests if one.skipped]
    if report.rating.tests == "samples":
        found.append(f"{report.name}: answers were graded by the statements' sample tests only")
    if skipped:
        found.append(f"{report.name}: {len(skipped)} of {len(report.rating.contests)} contests do not count")
    return found
