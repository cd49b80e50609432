"""What a user may write about the algorithm: a preset, and what overrides it. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from deepcoder_api.specification import Specification

Preset = Literal["grpo-plus", "grpo", "rllm-release", "dr-grpo", "dapo", "gspo", "cispo"]
Advantage = Literal["normalized", "centered"]
PolicyLoss = Literal["clipped", "unclipped", "cispo"]
ImportanceSamplingLevel = Literal["token", "sequence"]
LossAggregation = Literal["token-mean", "sequence-mean", "sequence-mean-token-sum-norm", "microbatch-token-mean"]
OverlongFilterKind = Literal["mask", "zero-advantage"]


def _without_reference_model(value: float) -> float:
    if value != 0:
        raise ValueError(f"{value} needs a reference model, which has no place in a run yet; it must be 0")
    return value


class Clip(Specification):
    """Bounds of the probability ratio: 1 - low to 1 + high."""

    low: float | None = Field(
        default=None, ge=0, le=1, description="How far the ratio may fall below 1; 1 is no lower bound."
    )
    high: float | None = Field(default=None, ge=0, le=100, description="How far the ratio may rise above 1.")


class ImportanceCorrection(Specification):
    """Correction for the gap between the sampler's and the trainer's log-probabilities."""

    kind: Literal["truncated", "none"] | None = Field(
        default=None, description="truncated: tokens are weighted by min(trainer / sampler, cap)."
    )
    cap: float | None = Field(default=None, ge=1, le=100, description="Upper bound of the weight.")


class SoftOverlongPunishment(Specification):
    """DAPO's punishment of long answers: nothing up to the buffer, then linear to `factor` at the response limit."""

    buffer_fraction: float | None = Field(
        default=None, gt=0, le=1, description="The buffer, as the last share of the stage's response limit."
    )
    factor: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Reward taken from an answer as long as the limit; 0 punishes nothing. A right answer earns 1.",
    )


class DynamicSampling(Specification):
    """DAPO's dynamic sampling: a group whose answers all earned the same is replaced by a further draw."""

    max_draws_per_prompt: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Most problems drawn for each that a step trains on. 1: nothing is replaced. 4: a step of 64 "
        "prompts draws at most 256; what then has no signal is trained on as it is.",
    )


class TrainingSampling(Specification):
    """How training answers are sampled. Other distortions of the distribution are refused."""

    temperature: float | None = Field(default=None, gt=0, le=2, description="Sampling temperature.")
    seed: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="Seed that every sample's own seed is hashed from."
    )


class AlgorithmSpec(Specification):
    """A preset, and what overrides it. Absent values are the preset's."""

    preset: Preset = Field(
        default="grpo-plus",
        description="grpo-plus: DeepCoder's, with clip 0.2 / 0.28, no loss on truncated answers, token mean. grpo: "
        "DeepSeekMath's without KL. rllm-release: what rLLM really ran for DeepCoder. dr-grpo, dapo, gspo, cispo: as "
        "their papers have them. See docs/algorithms.md.",
    )
    prompts_per_step: int | None = Field(default=None, ge=1, le=65536, description="Problems sampled in a step.")
    samples_per_prompt: int | None = Field(
        default=None, ge=2, le=1024, description="Answers to each problem: the group."
    )
    optimizer_steps_per_step: int | None = Field(
        default=None, ge=1, le=64, description="Optimizer steps that a step's samples are split over."
    )
    advantage: Advantage | None = Field(
        default=None,
        description="normalized: (reward - mean) / (std + 1e-6) in the group. centered: reward - mean.",
    )
    policy_loss: PolicyLoss | None = Field(
        default=None,
        description="clipped: PPO's surrogate. unclipped: the ratio times the advantage. cispo: the log-probability "
        "weighted by the clipped ratio, which carries no gradient.",
    )
    importance_sampling_level: ImportanceSamplingLevel | None = Field(
        default=None,
        description="token: each token has its ratio. sequence: GSPO's, one ratio an answer, the geometric mean of "
        "its tokens'.",
    )
    clip: Clip = Field(default=Clip(), description="Bounds of the probability ratio.")
    kl_coefficient: Annotated[float, AfterValidator(_without_reference_model)] | None = Field(
        default=None,
        description="Weight of a KL term towards a reference model. Only 0: there is no reference model yet.",
        json_schema_extra={"minimum": 0, "maximum": 0},
    )
    entropy_coefficient: float | None = Field(
        default=None, ge=0, le=1, description="Weight of the entropy bonus; 0 has none."
    )
    overlong_filter: bool | None = Field(
        default=None, description="Whether answers cut at the response limit carry no loss."
    )
    overlong_filter_kind: OverlongFilterKind | None = Field(
        default=None,
        description="mask: a truncated answer's tokens leave the loss and its denominator. zero-advantage: only a "
        "truncated answer graded 0 loses its advantage, and its tokens stay in the denominator.",
    )
    soft_overlong_punishment: SoftOverlongPunishment = Field(
        default=SoftOverlongPunishment(), description="What is taken from the reward of long answers."
    )
    loss_aggregation: LossAggregation | None = Field(
        default=None,
        description="token-mean: every token weighs the same. sequence-mean: every answer weighs the same. "
        "sequence-mean-token-sum-norm: Dr. GRPO's sum over tokens by answers times lossNormalizationTokens. "
        "microbatch-token-mean: rLLM's token mean of each microbatch; it depends on tokensPerMicrobatch and ranks.",
    )
    loss_normalization_tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Divisor of sequence-mean-token-sum-norm; the longest stage's maxResponseTokens when absent.",
    )
    importance_correction: ImportanceCorrection = Field(
        default=ImportanceCorrection(), description="Correction for the sampler's own numerics."
    )
    dynamic_sampling: DynamicSampling = Field(
        default=DynamicSampling(), description="How often groups without signal are replaced."
    )
    max_staleness: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Most versions that the weights may be ahead of those that an answer was begun with. 0: sampling "
        "and training take turns; above, the next steps are sampled while this one is trained.",
    )
    sampling: TrainingSampling = Field(default=TrainingSampling(), description="How answers are sampled.")
