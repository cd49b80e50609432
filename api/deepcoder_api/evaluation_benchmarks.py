"""What an evaluation scores on: the kinds of benchmarks, and what is said of each."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from deepcoder_api.specification import ObjectUri, PartName, Specification
from deepcoder_api.training_run import Window

BenchmarkKind = Literal["jsonl", "livecodebench", "humaneval-plus", "codeforces", "aime"]
"""The kinds that deepcoder_evaluation.benchmarks has a file for, each under this name."""
Release = Literal["v1", "v2", "v3", "v4", "v5", "v6"]
TestCoverage = Literal["samples", "full"]

_ONLY_FOR: dict[str, BenchmarkKind] = {
    "release": "livecodebench",
    "window": "livecodebench",
    "ratings_uri": "codeforces",
    "standings_uri": "codeforces",
    "tests": "codeforces",
    "max_submissions": "codeforces",
}
_NEEDED = ("ratings_uri", "standings_uri", "tests")
_NAMES = {name: name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]) for name in _ONLY_FOR}


def _rules() -> list[dict[str, str]]:
    only = [
        {
            "rule": f"!has(self.{_NAMES[field]}) || self.kind == '{kind}'",
            "fieldPath": f".{_NAMES[field]}",
            "message": f"only for kind {kind}",
        }
        for field, kind in _ONLY_FOR.items()
    ]
    needed = [
        {
            "rule": f"self.kind != 'codeforces' || has(self.{_NAMES[field]})",
            "message": f"kind codeforces needs {_NAMES[field]}",
        }
        for field in _NEEDED
    ]
    return only + needed


_EXTRA: dict[str, Any] = {"x-rules": _rules()}


class Benchmark(Specification):
    """Problems to score on."""

    model_config = ConfigDict(json_schema_extra=_EXTRA)

    name: PartName = Field(description="Name of the benchmark in the report.")
    kind: BenchmarkKind = Field(
        description="Whose problems they are, and how they are scored. jsonl: one problem a line in the project's own "
        "schema. livecodebench: rows of livecodebench/code_generation_lite. humaneval-plus: evalplus' HumanEvalPlus, "
        "or rows of openai/human-eval. codeforces: problems of contests, in the project's own schema. aime: questions "
        "whose answers are whole numbers from 0 to 999."
    )
    uri: ObjectUri = Field(
        description="A file (JSON lines, as they are or gzipped, or Parquet), a folder of them, or files by a name "
        "with *, such as s3://bucket/held-out.jsonl."
    )
    release: Release | None = Field(
        default=None,
        description="LiveCodeBench's release: of the folder that uri names, its files test.jsonl to the release's "
        "last, as livecodebench/code_generation_lite has them. All files when absent.",
    )
    window: Window | None = Field(default=None, description="Days of the contests that problems are taken from.")
    ratings_uri: ObjectUri | None = Field(
        default=None, description="JSON object of ratings to how many users have them: what a percentile is of."
    )
    standings_uri: ObjectUri | None = Field(
        default=None,
        description="JSON lines, a contest each: standings and ratingChanges as the Codeforces API gives them.",
    )
    tests: TestCoverage | None = Field(
        default=None,
        description="Whether the problems' tests are the statements' samples only or all: the report says.",
    )
    max_submissions: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Answers that count as a problem's submissions, in their order; all when absent.",
    )
    repeats: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Times that the whole benchmark is answered, each with seeds of its own: the spread of the score.",
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Benchmark:
        for field, kind in _ONLY_FOR.items():
            value = getattr(self, field)
            if value is not None and self.kind != kind:
                raise ValueError(f"{_NAMES[field]}: is only for kind {kind}, not {self.kind}")
        if self.kind == "codeforces":
            for field in _NEEDED:
                if getattr(self, field) is None:
                    raise ValueError(f"{_NAMES[field]}: kind codeforces needs it")
        return self
