"""What a user may write about a stage: steps with one response limit, and when they end. No I/O."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from deepcoder_api.specification import PartName, Specification


class AdvanceWhen(Specification):
    """What ends a stage before its last step. Means are over the last `windowSteps` steps of the stage."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": "has(self.truncatedFractionAbove) || has(self.rewardAbove)",
                    "message": "needs truncatedFractionAbove, rewardAbove or both",
                }
            ]
        }
    )

    truncated_fraction_above: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The stage ends when the mean share of answers cut at its limit is above this, or rewardAbove "
        "says so.",
    )
    reward_above: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="The stage ends when the mean reward is above this, or truncatedFractionAbove says so.",
    )
    window_steps: int = Field(
        default=10, ge=1, le=1000, description="Steps that the means are over; a stage has at least as many."
    )

    @model_validator(mode="after")
    def _says_when(self) -> AdvanceWhen:
        if self.truncated_fraction_above is None and self.reward_above is None:
            raise ValueError("truncatedFractionAbove: it, rewardAbove or both must be given, not neither")
        return self


class StageSampling(Specification):
    """How the answers of a stage are sampled, where it is not as in algorithm.sampling."""

    temperature: float | None = Field(
        default=None, gt=0, le=2, description="Sampling temperature; algorithm.sampling.temperature when absent."
    )


class Stage(Specification):
    """Steps with one response limit. What a stage leaves out is as in `algorithm` and `trainer`."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": "!has(self.advanceWhen) || self.advanceWhen.windowSteps < self.steps",
                    "fieldPath": ".advanceWhen",
                    "message": "has no effect: windowSteps must be less than steps",
                }
            ]
        }
    )

    name: PartName = Field(description="Name of the stage, such as 16k.")
    max_response_tokens: int = Field(ge=1, le=1_000_000, description="Response limit in tokens.")
    steps: int = Field(ge=1, le=1_000_000, description="Steps of this stage; with advanceWhen the most it has.")
    advance_when: AdvanceWhen | None = Field(
        default=None,
        description="Lets the next stage begin before this one has had all its steps. What has begun by then is "
        "trained on: with algorithm.maxStaleness as many steps more.",
    )
    reset_optimizer: bool = Field(
        default=False, description="Whether the stage begins with Adam's moments and step count at zero."
    )
    prompts_per_step: int | None = Field(
        default=None, ge=1, le=65536, description="Problems sampled in a step; algorithm.promptsPerStep when absent."
    )
    samples_per_prompt: int | None = Field(
        default=None, ge=2, le=1024, description="Answers to each problem; algorithm.samplesPerPrompt when absent."
    )
    tokens_per_microbatch: int | None = Field(
        default=None,
        ge=1,
        le=16_777_216,
        description="Tokens that a rank packs into one forward pass; trainer.tokensPerMicrobatch when absent.",
    )
    sampling: StageSampling = Field(default=StageSampling(), description="How answers are sampled.")
