"""A benchmark as it is asked: all problems of its files, or an error. A score over a part would be another number."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import ExitStack

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.problems import Problem, canonical_json
from deepcoder_data.readers import BadRow, SkippedRow
from deepcoder_data.source_files import local_files
from deepcoder_data.sources import source_digest
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.benchmarks.registry import kinds


def load_benchmark(store: ObjectStore, benchmark: Benchmark) -> LoadedBenchmark:
    """All problems, in the order of the files. Raises StoreError, or ValueError naming the row or problem at fault."""
    kind = kinds()[benchmark.kind]
    problems: list[Problem] = []
    left_out: Counter[str] = Counter()
    with ExitStack() as stack:
        found = [(uri, stack.enter_context(local_files(store, uri))) for uri in kind.uris(benchmark)]
        for uri, files in found:
            for file in files:
                for row in kind.rows(benchmark, file.path, uri, file.name):
                    if isinstance(row, SkippedRow):
                        left_out[row.reason] += 1
                        continue
                    problems.append(_sound(row, uri))
        digest = source_digest([file for _, files in found for file in files])
    if not problems:
        rows = sum(left_out.values())
        raise ValueError(f"{benchmark.uri}: holds no problems" + (f" within the window, of {rows}" if rows else ""))
    repeated = [id for id, count in Counter(problem.id for problem in problems).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{benchmark.uri}: problem {repeated[0]!r} is there twice; ids must be unique to be scored by problem"
        )
    return LoadedBenchmark(
        benchmark=benchmark,
        kind=kind,
        problems=tuple(problems),
        left_out=dict(sorted(left_out.items())),
        sha256=digest,
        problems_sha256=_digest(problems),
        context=kind.context(benchmark, problems, store),
    )


def _sound(row: Problem | BadRow, uri: str) -> Problem:
    if not isinstance(row, Problem):
        raise ValueError(f"{uri}: {row.place}: {row.reason}")
    if not row.tests:
        raise ValueError(f"{uri}: problem {row.id!r} has no tests and cannot be scored")
    return row


def _digest(problems: list[Problem]) -> str:
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(canonical_json(problem).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
