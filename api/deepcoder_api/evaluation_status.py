"""What the operator tells of an Evaluation: where it stands, and its scores."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepcoder_api.specification import ShortText, Specification
from deepcoder_api.status import Condition
from deepcoder_api.training_run import FailureStatus

EvaluationPhase = Literal["Pending", "Waiting", "Starting", "Running", "Suspended", "Succeeded", "Failed"]


class LengthPass(Specification):
    """pass@1 at one response limit."""

    tokens: int = Field(description="The response limit in tokens.")
    pass_at_1: float = Field(alias="passAt1", description="Mean share of accepted answers under it, 0 to 1.")


class BenchmarkScore(Specification):
    """The score on one benchmark."""

    name: ShortText = Field(description="The benchmark.")
    problems: int = Field(description="Problems scored.")
    pass_at_1: float = Field(alias="passAt1", description="Mean share of accepted answers, 0 to 1.")
    rating: float | None = Field(default=None, description="Codeforces rating, where the benchmark has one.")
    percentile: float | None = Field(default=None, description="Percent of rated users below that rating.")
    lengths: list[LengthPass] = Field(
        default_factory=list[LengthPass],
        max_length=17,
        description="By response limit, ascending: contextLengths and sampling.maxTokens.",
    )


class EvaluationStatus(Specification):
    """What the operator last saw of an evaluation."""

    observed_generation: int | None = Field(default=None, description="Generation of the spec that this status is of.")
    phase: EvaluationPhase = Field(default="Pending", description="Where the evaluation stands.")
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        max_length=32,
        description="Conditions.",
        json_schema_extra={"x-list-map-keys": ["type"]},
    )
    message: str = Field(default="", max_length=4096, description="What it is doing or waiting for, for people.")
    model: str | None = Field(default=None, max_length=2048, description="The model being measured, once known.")
    answered: int | None = Field(default=None, description="Answers graded so far.")
    total: int | None = Field(default=None, description="Answers to grade.")
    scores: list[BenchmarkScore] = Field(
        default_factory=list[BenchmarkScore],
        max_length=32,
        description="Scores by benchmark.",
        json_schema_extra={"x-list-map-keys": ["name"]},
    )
    pass_at_1: float | None = Field(default=None, alias="passAt1", description="The first benchmark's pass@1, 0 to 1.")
    pass_at_1_by_length: str | None = Field(
        default=None,
        alias="passAt1ByLength",
        max_length=1024,
        description="The first benchmark's pass@1 by response limit in tokens, where more than one is scored.",
    )
    report: str | None = Field(default=None, max_length=2048, description="The report in S3.")
    failure: FailureStatus | None = Field(default=None, description="What ended the evaluation.")
    start_time: str | None = Field(
        default=None,
        max_length=64,
        description="When it began, its model being there, or went on after suspend, RFC 3339.",
    )
    completion_time: str | None = Field(default=None, max_length=64, description="When it ended, RFC 3339.")
