"""LiveCodeBench: rows of livecodebench/code_generation_lite, by release and by the days of the contests.

The hub has a file for each release that adds to those before it: test.jsonl, test2.jsonl and so on; release v5 is the
first five (code_generation_lite.py there). Both days of a window count, as lcb_runner has it. Under profile lcb-v5 the
program is taken out of an answer as lcb_runner does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Profile
from deepcoder_data.readers import read_source_file
from deepcoder_evaluation.benchmarks.kind import RULES, BenchmarkKind, Row


class LiveCodeBench(BenchmarkKind):
    """Scores are also by difficulty, platform and month, which the rows tell."""

    name = "livecodebench"

    def uris(self, benchmark: Benchmark) -> tuple[str, ...]:
        if benchmark.release is None:
            return (benchmark.uri,)
        numbers = range(1, int(benchmark.release.removeprefix("v")) + 1)
        folder = benchmark.uri.rstrip("/")
        return tuple(f"{folder}/test{number if number > 1 else ''}.jsonl" for number in numbers)

    def rows(self, benchmark: Benchmark, file: Path, uri: str, name: str) -> Iterator[Row]:
        return read_source_file(file, uri, "livecodebench", benchmark.window, name=name)

    def extraction(self, profile: Profile) -> str:
        return RULES[profile]

    def settings(self, benchmark: Benchmark) -> dict[str, str]:
        window = benchmark.window
        given = {
            "release": benchmark.release,
            "from": window.first if window else None,
            "to": window.last if window else None,
        }
        return {name: value for name, value in given.items() if value}


KIND = LiveCodeBench()
