"""A run with every value filled in, and the values that do not fit each other."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.resolve import SpecificationError, resolve_run
from deepcoder_api.training_run import TrainingRunSpec
from tests.resolved_runs import resolved_run

SPEC: dict[str, Any] = {
    "model": {"uri": "s3://bucket/model"},
    "data": {"sources": [{"name": "made", "format": "jsonl", "uri": "s3://bucket/p.jsonl"}], "maxPromptTokens": 100},
    "stages": [
        {"name": "16k", "maxResponseTokens": 16000, "steps": 180},
        {"name": "32k", "maxResponseTokens": 32000, "steps": 20},
    ],
    "storage": {"uri": "s3://bucket/prefix"},
    "trainer": {"tokensPerMicrobatch": 40000},
}  # fmt: skip


def resolve(**changes: Any) -> Any:
    """The run of SPEC with whole parts changed."""
    return resolve_run("team", "fourteen", "u-1", TrainingRunSpec.model_validate({**SPEC, **changes}))


def test_the_context_holds_prompt_and_longest_answer() -> None:
    """Without a wish it is exactly what data and stages need."""
    assert resolve().max_model_length == 32100


def test_a_longer_context_is_the_users_choice() -> None:
    """rollout.maxModelLength is taken as it is."""
    assert resolve(rollout={"maxModelLength": 40000}).max_model_length == 40000


def test_steps_of_all_stages() -> None:
    """Steps count through."""
    assert resolve().total_steps == 200


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (
            {"algorithm": {"promptsPerStep": 10, "optimizerStepsPerStep": 4}},
            "spec.algorithm.optimizerStepsPerStep",
            r"4 does not divide promptsPerStep \(10\)",
        ),
        (
            {"algorithm": {"promptsPerStep": 9}},
            "spec.algorithm.optimizerStepsPerStep",
            r"2 does not divide promptsPerStep \(9\)",
        ),
        ({"rollout": {"maxModelLength": 32099}}, "spec.rollout.maxModelLength", "at least 32100 is needed"),
        (
            {"trainer": {"tokensPerMicrobatch": 32099}},
            "spec.trainer.tokensPerMicrobatch",
            "32099 cannot hold one sample of up to 32100 tokens",
        ),
        (
            {
                "algorithm": {"promptsPerStep": 4, "samplesPerPrompt": 2},
                "trainer": {"tokensPerMicrobatch": 40000, "replicas": 3, "gpusPerReplica": 3},
            },
            "spec.algorithm.promptsPerStep",
            "8 samples a step cannot be shared by 9 ranks",
        ),
        (
            {"trainer": {"tokensPerMicrobatch": 40000, "gpusPerReplica": 8, "sequenceParallel": 3}},
            "spec.trainer.sequenceParallel",
            r"3 does not divide the 8 ranks \(trainer.replicas times GPUs\); it may be 1, 2, 4, 8",
        ),
        (
            {"trainer": {"tokensPerMicrobatch": 16049, "gpusPerReplica": 2, "sequenceParallel": 2}},
            "spec.trainer.tokensPerMicrobatch",
            r"16049 times sequenceParallel \(2\) cannot hold one sample of up to 32100 tokens",
        ),
        (
            {"trainer": {"tokensPerMicrobatch": 40000, "gpusPerReplica": 0, "deepspeed": {"offload": "optimizer"}}},
            "spec.trainer.deepspeed.offload",
            "'optimizer' needs trainer.gpusPerReplica above 0",
        ),
    ],
)
def test_values_that_do_not_fit(changes: dict[str, Any], field: str, words: str) -> None:
    """The field to change is named, with the figures."""
    with pytest.raises(SpecificationError, match=words) as caught:
        resolve(**changes)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_on_cpu_each_pod_is_one_rank() -> None:
    """gpusPerReplica 0 is one gloo rank, not none."""
    trainer = {"tokensPerMicrobatch": 40000, "replicas": 9, "gpusPerReplica": 0}
    with pytest.raises(SpecificationError, match="8 samples a step cannot be shared by 9 ranks"):
        resolve(algorithm={"promptsPerStep": 4, "samplesPerPrompt": 2}, trainer=trainer)


def test_ranks_that_share_a_microbatch_have_room_together() -> None:
    """Half of a sample each, and eight ranks of two each need samples for four only."""
    trainer = {"tokensPerMicrobatch": 16050, "gpusPerReplica": 8, "sequenceParallel": 2}
    run = resolve(algorithm={"promptsPerStep": 2, "samplesPerPrompt": 2}, trainer=trainer)
    assert run.spec.trainer.ranks == 8


def test_a_resolved_run_survives_its_json() -> None:
    """What is frozen in a ConfigMap is what every attempt reads."""
    run = resolved_run()
    assert type(run).model_validate_json(run.model_dump_json()) == run
