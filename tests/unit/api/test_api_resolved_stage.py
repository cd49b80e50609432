"""Stages with every value filled in, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.specification import SpecificationError
from tests.resolved_runs import resolved_run

SHORT: dict[str, Any] = {"name": "short", "maxResponseTokens": 12, "steps": 30}
LONG: dict[str, Any] = {"name": "long", "maxResponseTokens": 24, "steps": 2}


def test_a_stage_takes_from_algorithm_and_trainer_what_it_leaves_out() -> None:
    """The run has 4 prompts, 2 samples, temperature 1 and 256 tokens a microbatch."""
    own = {"promptsPerStep": 6, "samplesPerPrompt": 3, "tokensPerMicrobatch": 88, "sampling": {"temperature": 0.5}}
    run = resolved_run(stages=[SHORT, LONG | own | {"resetOptimizer": True}])
    short, long = run.stages
    assert short.algorithm == run.algorithm
    assert (short.tokens_per_microbatch, short.reset_optimizer, short.advance_when) == (256, False, None)
    changed = {"prompts_per_step": 6, "samples_per_prompt": 3, "temperature": 0.5}
    assert long.algorithm == run.algorithm.model_copy(update=changed)
    assert (long.tokens_per_microbatch, long.reset_optimizer, long.max_response_tokens) == (88, True, 24)


def test_a_stage_may_end_early() -> None:
    """The window is ten steps unless it is said."""
    (short, _) = resolved_run(stages=[SHORT | {"advanceWhen": {"rewardAbove": 0.7}}, LONG]).stages
    assert short.advance_when is not None
    assert (short.advance_when.reward_above, short.advance_when.window_steps) == (0.7, 10)


ADVANCE = {"advanceWhen": {"truncatedFractionAbove": 0.3}}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (
            {"stages": [SHORT, LONG | {"tokensPerMicrobatch": 87}]},
            "spec.stages[1].tokensPerMicrobatch",
            r"87 cannot hold one sample of up to 88 tokens .*stage long",
        ),
        (
            {"stages": [SHORT, LONG], "trainer": {"tokensPerMicrobatch": 87}},
            "spec.trainer.tokensPerMicrobatch",
            "87 cannot hold one sample of up to 88 tokens",
        ),
        (
            {"stages": [SHORT | {"promptsPerStep": 3}, LONG]},
            "spec.stages[0].promptsPerStep",
            r"3 cannot be cut into algorithm.optimizerStepsPerStep \(2\) equal parts",
        ),
        (
            {"stages": [SHORT, LONG | {"promptsPerStep": 2}], "trainer": {"replicas": 5}},
            "spec.stages[1].promptsPerStep",
            "4 samples a step cannot be shared by 5 ranks",
        ),
        ({"stages": [SHORT, LONG | ADVANCE | {"steps": 11}]}, "spec.stages[1].advanceWhen", "none to advance to"),
        ({"stages": [SHORT | {"resetOptimizer": True}, LONG]}, "spec.stages[0].resetOptimizer", "has no effect"),
        (
            {"stages": [SHORT | ADVANCE, LONG], "optimizer": {"schedule": "linear"}},
            "spec.optimizer.schedule",
            "advanceWhen leaves open",
        ),
        (
            {"stages": [SHORT | ADVANCE | {"steps": 12}, LONG], "algorithm": {"maxStaleness": 2}},
            "spec.stages[0].advanceWhen",
            r"windowSteps \(10\) and algorithm.maxStaleness \(2\) together must be less than the stage's steps \(12\)",
        ),
    ],
)
def test_values_that_do_not_fit(changes: dict[str, Any], field: str, words: str) -> None:
    """The field to change is named, with the figures."""
    with pytest.raises(SpecificationError, match=words) as caught:
        resolved_run(**changes)
    assert caught.value.field == field
