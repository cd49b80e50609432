"""The report of a prepared dataset, out of what was counted. Pure but for the versions of what is installed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from deepcoder_api.artifacts import DatasetReport, DatasetRules, DecontaminationReport, Histogram, SourceReport
from deepcoder_api.training_run import DataSource, DataSpec
from deepcoder_trainer.preparation.decontamination import Benchmark
from deepcoder_trainer.preparation.histograms import histogram
from deepcoder_trainer.preparation.keys import Digests
from deepcoder_trainer.preparation.tally import SourceTally, Tally

SOFTWARE = ("deepcoder-operator", "datasketch", "numpy", "pyarrow", "pydantic", "transformers")


def dataset_report(
    key: str, rules: DataSpec, digests: Digests, tally: Tally, benchmarks: Sequence[Benchmark], seconds: float
) -> DatasetReport:
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
        histograms=_histograms(tally),
        software={name: metadata.version(name) for name in SOFTWARE} | {"python": platform.python_version()},
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
