"""The presets against what was published, and what overrides them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from deepcoder_api.presets import GRPO, GRPO_PLUS, PRESETS, Algorithm, resolve_algorithm
from deepcoder_api.training_run import AlgorithmSpec, OptimizerSpec

# The DeepCoder-14B-Preview report and the training script of its first stage.
PUBLISHED = {
    "prompts_per_step": 128,
    "samples_per_prompt": 8,
    "optimizer_steps_per_step": 128 // 64,
    "clip_low": 0.2,
    "clip_high": 0.28,
    "overlong_filter": True,
    "loss_aggregation": "token-mean",
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


def test_every_preset_can_be_named() -> None:
    """What a spec may say and what there is are the same."""
    assert set(get_args(AlgorithmSpec.model_fields["preset"].annotation)) == set(PRESETS)
    assert all(preset.preset == name for name, preset in PRESETS.items())


def test_grpo_plus_without_a_word() -> None:
    """An empty algorithm is the default preset, whole."""
    assert resolve_algorithm(AlgorithmSpec()) == GRPO_PLUS


OVERRIDES: list[tuple[dict[str, Any], str, Any]] = [
    ({"promptsPerStep": 16}, "prompts_per_step", 16),
    ({"samplesPerPrompt": 4}, "samples_per_prompt", 4),
    ({"optimizerStepsPerStep": 4}, "optimizer_steps_per_step", 4),
    ({"clip": {"low": 0.0}}, "clip_low", 0.0),
    ({"clip": {"high": 0.5}}, "clip_high", 0.5),
    ({"overlongFilter": False}, "overlong_filter", False),
    ({"lossAggregation": "sequence-mean"}, "loss_aggregation", "sequence-mean"),
    ({"importanceCorrection": {"kind": "none"}}, "importance_correction", "none"),
    ({"importanceCorrection": {"cap": 5}}, "importance_cap", 5.0),
    ({"maxStaleness": 2}, "max_staleness", 2),
    ({"sampling": {"temperature": 1}}, "temperature", 1.0),
    ({"sampling": {"seed": 7}}, "seed", 7),
]


@pytest.mark.parametrize(("written", "name", "value"), OVERRIDES, ids=[name for _, name, _ in OVERRIDES])
def test_one_value_overrides_one_value(written: dict[str, Any], name: str, value: Any) -> None:
    """A value given wins, false and zero too; all else stays the preset's."""
    assert resolve_algorithm(AlgorithmSpec.model_validate(written)) == GRPO_PLUS.model_copy(update={name: value})


def test_every_value_of_an_algorithm_can_be_overridden() -> None:
    """A value added to the presets belongs in the spec and in the table above."""
    assert {name for _, name, _ in OVERRIDES} | {"preset"} == set(Algorithm.model_fields)
