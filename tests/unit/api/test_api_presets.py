"""The presets against what was published, and what overrides them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_resolution import resolve_algorithm
from deepcoder_api.algorithm_spec import AlgorithmSpec
from deepcoder_api.presets import GRPO, GRPO_PLUS, PRESETS
from deepcoder_api.specification import SpecificationError
from deepcoder_api.training_run import OptimizerSpec

LONGEST = 32768

# The DeepCoder-14B-Preview report and the training script of its first stage.
PUBLISHED = {
    "prompts_per_step": 128,
    "samples_per_prompt": 8,
    "optimizer_steps_per_step": 128 // 64,
    "clip_low": 0.2,
    "clip_high": 0.28,
    "overlong_filter": True,
    "loss_aggregation": "token-mean",
    "entropy_coefficient": 0.0,
    "temperature": 0.6,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_grpo_plus_is_as_published(name: str) -> None:
    """Value by value."""
    assert getattr(GRPO_PLUS, name) == PUBLISHED[name]


def test_the_optimizer_is_as_published() -> None:
    """AdamW with torch's defaults, 1e-6 held constant, the gradient's norm at most 1."""
    assert OptimizerSpec() == OptimizerSpec(
        learning_rate=1e-6, betas=[0.9, 0.999], schedule="constant", warmup_steps=0, gradient_clip=1.0, weight_decay=0.0
    )


def test_grpo_is_the_older_algorithm() -> None:
    """A symmetric clip, every sequence weighs the same, cut answers carry loss, one update a batch."""
    assert (GRPO.clip_low, GRPO.clip_high) == (0.2, 0.2)
    assert (GRPO.loss_aggregation, GRPO.overlong_filter, GRPO.optimizer_steps_per_step) == ("sequence-mean", False, 1)


# What each preset changes of another, from its paper or release: presets/*.py say where it stands.
DIFFERENCES: dict[tuple[str, str], dict[str, Any]] = {
    ("rllm-release", "grpo-plus"): {
        "policy_loss": "unclipped", "overlong_filter_kind": "zero-advantage",
        "loss_aggregation": "microbatch-token-mean", "importance_correction": "none",
    },
    ("dr-grpo", "grpo"): {
        "advantage": "centered", "loss_aggregation": "sequence-mean-token-sum-norm",
        "optimizer_steps_per_step": 1024 // 128, "temperature": 1.0,
    },
    ("dapo", "grpo"): {
        "prompts_per_step": 512, "samples_per_prompt": 16, "optimizer_steps_per_step": 512 // 32, "clip_high": 0.28,
        "overlong_factor": 0.5, "loss_aggregation": "token-mean", "max_draws_per_prompt": 10, "temperature": 1.0,
    },
    ("gspo", "grpo"): {
        "importance_sampling_level": "sequence", "clip_low": 3e-4, "clip_high": 4e-4, "optimizer_steps_per_step": 4,
    },
    ("cispo", "grpo"): {
        "policy_loss": "cispo", "clip_low": 1.0, "clip_high": 4.0, "loss_aggregation": "token-mean",
        "optimizer_steps_per_step": 16,
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "base"), DIFFERENCES)
def test_a_preset_differs_from_another_in_this_and_nothing_else(name: Any, base: Any) -> None:
    """Value by value, so that a change of a base is seen in what is built on it."""
    found, other = PRESETS[name].model_dump(), PRESETS[base].model_dump()
    changed = {field: value for field, value in found.items() if value != other[field]}
    assert changed == {**DIFFERENCES[name, base], "preset": name}


def test_what_each_preset_does_to_truncated_answers() -> None:
    """grpo-plus masks them, rllm-release takes an advantage away; without the filter its kind means nothing."""
    assert [name for name, preset in PRESETS.items() if preset.masks_truncated] == ["grpo-plus"]
    assert [name for name, preset in PRESETS.items() if preset.zeroes_truncated] == ["rllm-release"]


def test_dapos_buffer_is_the_papers_fifth() -> None:
    """4,096 of 20,480 tokens."""
    assert PRESETS["dapo"].overlong_buffer_fraction * 20480 == 4096


def test_every_preset_can_be_named() -> None:
    """What a spec may say and what there is are the same."""
    assert set(get_args(AlgorithmSpec.model_fields["preset"].annotation)) == set(PRESETS)
    assert all(preset.preset == name for name, preset in PRESETS.items())


def resolved(**changes: Any) -> Algorithm:
    """grpo-plus as a run has it, with `changes`."""
    return GRPO_PLUS.model_copy(update={"loss_normalization_tokens": LONGEST, **changes})


def test_grpo_plus_without_a_word() -> None:
    """An empty algorithm is the default preset, whole."""
    assert resolve_algorithm(AlgorithmSpec(), LONGEST) == resolved()


NORM = "sequence-mean-token-sum-norm"
OVERRIDES: list[tuple[dict[str, Any], str, Any]] = [
    ({"promptsPerStep": 16}, "prompts_per_step", 16),
    ({"samplesPerPrompt": 4}, "samples_per_prompt", 4),
    ({"optimizerStepsPerStep": 4}, "optimizer_steps_per_step", 4),
    ({"clip": {"low": 0.0}}, "clip_low", 0.0),
    ({"clip": {"high": 0.5}}, "clip_high", 0.5),
    ({"advantage": "centered"}, "advantage", "centered"),
    ({"policyLoss": "cispo"}, "policy_loss", "cispo"),
    ({"importanceSamplingLevel": "sequence"}, "importance_sampling_level", "sequence"),
    ({"entropyCoefficient": 0.001}, "entropy_coefficient", 0.001),
    ({"overlongFilter": False}, "overlong_filter", False),
    ({"overlongFilterKind": "zero-advantage"}, "overlong_filter_kind", "zero-advantage"),
    ({"softOverlongPunishment": {"factor": 1}}, "overlong_factor", 1.0),
    ({"lossAggregation": "sequence-mean"}, "loss_aggregation", "sequence-mean"),
    ({"importanceCorrection": {"kind": "none"}}, "importance_correction", "none"),
    ({"importanceCorrection": {"cap": 5}}, "importance_cap", 5.0),
    ({"dynamicSampling": {"maxDrawsPerPrompt": 4}}, "max_draws_per_prompt", 4),
    ({"maxStaleness": 2}, "max_staleness", 2),
    ({"sampling": {"temperature": 1}}, "temperature", 1.0),
    ({"sampling": {"seed": 7}}, "seed", 7),
]


@pytest.mark.parametrize(("written", "name", "value"), OVERRIDES, ids=[name for _, name, _ in OVERRIDES])
def test_one_value_overrides_one_value(written: dict[str, Any], name: str, value: Any) -> None:
    """A value given wins, false and zero too; all else stays the preset's."""
    assert resolve_algorithm(AlgorithmSpec.model_validate(written), LONGEST) == resolved(**{name: value})


PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"softOverlongPunishment": {"factor": 1, "bufferFraction": 0.5}},
        {"overlong_factor": 1.0, "overlong_buffer_fraction": 0.5},
    ),
    (
        {"lossAggregation": NORM, "lossNormalizationTokens": 3000},
        {"loss_aggregation": NORM, "loss_normalization_tokens": 3000},
    ),
]


@pytest.mark.parametrize(("written", "values"), PAIRS)
def test_a_value_that_needs_another_overrides_with_it(written: dict[str, Any], values: dict[str, Any]) -> None:
    """A buffer needs a punishment, a divisor the aggregation that divides by it."""
    assert resolve_algorithm(AlgorithmSpec.model_validate(written), LONGEST) == resolved(**values)


def test_every_value_of_an_algorithm_can_be_overridden() -> None:
    """A value added to the presets belongs in the spec and in the tables above."""
    named = {name for _, name, _ in OVERRIDES} | {name for _, values in PAIRS for name in values}
    assert named | {"preset"} == set(Algorithm.model_fields)


def test_no_kl_may_be_said() -> None:
    """Recipes say so; it changes nothing."""
    assert resolve_algorithm(AlgorithmSpec.model_validate({"klCoefficient": 0}), LONGEST) == resolved()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_resolves_as_it_is(preset: Any) -> None:
    """None of them is a combination that is refused, and the constant divisor is the longest stage's limit."""
    found = resolve_algorithm(AlgorithmSpec(preset=preset), LONGEST)
    assert found == PRESETS[preset].model_copy(update={"loss_normalization_tokens": LONGEST})


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"promptsPerStep": 9}, "optimizerStepsPerStep", r"2 does not divide promptsPerStep \(9\)"),
    (
        {"preset": "cispo", "importanceSamplingLevel": "sequence"},
        "importanceSamplingLevel",
        "sequence does not go with policyLoss cispo, which weighs tokens: use token, or policyLoss clipped",
    ),
    (
        {"preset": "gspo", "policyLoss": "cispo"},
        "importanceSamplingLevel",
        "sequence does not go with policyLoss cispo",
    ),
    (
        {"preset": "rllm-release", "clip": {"high": 0.3}},
        "clip",
        "0.3 has no effect, because policyLoss is unclipped; leave it out, or use policyLoss clipped or cispo",
    ),
    ({"policyLoss": "unclipped", "clip": {"low": 0}}, "clip", "0.0 has no effect"),
    (
        {"preset": "grpo", "overlongFilterKind": "mask"},
        "overlongFilterKind",
        "mask has no effect, because overlongFilter is false; leave it out, or set overlongFilter: true",
    ),
    (
        {"softOverlongPunishment": {"bufferFraction": 0.5}},
        "softOverlongPunishment.bufferFraction",
        "0.5 has no effect, because softOverlongPunishment.factor is 0",
    ),
    (
        {"lossNormalizationTokens": 100},
        "lossNormalizationTokens",
        "100 has no effect, because lossAggregation is token-mean; leave it out, or use sequence-mean-token-sum-norm",
    ),
    (
        {"preset": "rllm-release", "importanceCorrection": {"cap": 2}},
        "importanceCorrection.cap",
        "2.0 has no effect, because importanceCorrection.kind is none; leave it out, or use kind truncated",
    ),
]


@pytest.mark.parametrize(("written", "field", "words"), REFUSED)
def test_values_that_do_not_fit_each_other(written: dict[str, Any], field: str, words: str) -> None:
    """The field to change, its value, why, and what is allowed."""
    with pytest.raises(SpecificationError, match=words) as caught:
        resolve_algorithm(AlgorithmSpec.model_validate(written), LONGEST)
    assert caught.value.field == f"spec.algorithm.{field}"
