"""The report of a prepared dataset, out of what was counted. Pure but for the versions of what is installed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from deepcoder_api.artifacts import (
    DatasetReport,
    DatasetRules,
    DecontaminationReport,
    DifficultyReport,
    Histogram,
    SourceReport,
)
from deepcoder_api.training_run import DataSource, DataSpec
from deepcoder_trainer.preparation.decontamination import Benchmark
from deepcoder_trainer.preparation.histograms import histogram
from deepcoder_trainer.preparation.keys import Digests
from deepcoder_trainer.preparation.rating_conditions import RatingConditions
from deepcoder_trainer.preparation.tally import SourceTally, Tally

SOFTWARE = ("deepcoder-operator", "datasketch", "numpy", "pyarrow", "pydantic", "transformers")


def dataset_report(
    key: str, rules: DataSpec, digests: Digests, tally: Tally, benchmarks: Sequence[Benchmark], seconds: float,
    difficulty: DifficultyReport | None = None,
) -> DatasetReport:  # fmt: skip
    """The report of a dataset that has at least one problem."""
    return DatasetReport(
        key=key,
        problems=tally.kept,
        verified=tally.verified,
        tests=sum(tally.tests),
        seconds=round(seconds, 3),
        rules=_rules(rules),
        sources=tuple(_source(source, digests.sources, tally.sources[source.name]) for source in rules.sources),
        decontamination=tuple(_decontamination(benchmark, digests) for benchmark in benchmarks),
        difficulty=difficulty,
        histograms=_histograms(tally),
        software={name: metadata.version(name) for name in SOFTWARE} | {"python": platform.python_version()},
    )


def difficulty_report(rules: DataSpec, rated: RatingConditions, answers: str, tally: Tally) -> DifficultyReport | None:
    """How hard problems were; None where none is rated. `answers`: URI of the folder that has all answers."""
    if (difficulty := rules.difficulty) is None:
        return None
    count = len(tally.accepted) * difficulty.samples_per_prompt
    unit = f"of {difficulty.samples_per_prompt} answers accepted"
    return DifficultyReport(
        samples_per_prompt=difficulty.samples_per_prompt,
        keep_above=difficulty.keep_above,
        keep_below=difficulty.keep_below,
        sources=tuple(source.name for source in rules.sources if difficulty.rates(source.name)),
        temperature=rated.temperature,
        max_response_tokens=rated.max_response_tokens,
        model=rated.model,
        answers=answers,
        problems=len(tally.accepted),
        accepted=histogram("Difficulty of what was rated", unit, tally.accepted) if tally.accepted else None,
        mean_pass_rate=round(sum(tally.accepted) / count, 6) if count else 0.0,
        truncated_fraction=round(tally.truncated / count, 6) if count else 0.0,
    )


def _rules(rules: DataSpec) -> DatasetRules:
    return DatasetRules(
        min_tests=rules.min_tests,
        max_prompt_tokens=rules.max_prompt_tokens,
        verify_solutions=rules.verify_solutions,
        dedupe_similarity=rules.dedupe.similarity if rules.dedupe else None,
    )


def _source(source: DataSource, digests: Mapping[str, str], of: SourceTally) -> SourceReport:
    return SourceReport(
        name=source.name,
        format=source.format,
        uri=source.uri,
        sha256=digests[source.name],
        read=of.read,
        kept=of.kept,
        verified=of.verified,
        duplicate_tests=of.duplicate_tests,
        drops=of.drops(),
    )


def _decontamination(benchmark: Benchmark, digests: Digests) -> DecontaminationReport:
    source = benchmark.source
    of_field = digests.validation if benchmark.field == "validation" else digests.decontamination
    return DecontaminationReport(
        name=benchmark.name,
        format=source.format,
        uri=source.uri,
        sha256=of_field[source.name],
        similarity=source.similarity,
        problems=len(benchmark.statements),
        unreadable=benchmark.unreadable,
    )


def _histograms(tally: Tally) -> tuple[Histogram, ...]:
    return (
        histogram("Tests per problem", "tests", tally.tests),
        histogram("Prompt length", "tokens", tally.prompt_tokens),
        histogram("Size of a problem's tests", "bytes as JSON", tally.test_bytes),
    )
