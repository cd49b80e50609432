"""A run's plan: what is started, how much is computed, and what cannot fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.manifest import TrainingRunResource, parse_resource, read_documents
from deepcoder_api.planning.model_shape import model_shape
from deepcoder_api.planning.plan_models import GIB, RunPlan
from deepcoder_api.planning.run_plan import plan_run
from tests.model_configs import QWEN2_5_14B
from tests.resource_documents import changed, training_run

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "deepcoder-14b" / "trainingrun.yaml"
SHAPE = model_shape(QWEN2_5_14B)


def example(path: str = "metadata.name", value: Any = "deepcoder-14b", gpu_gib: int = 80) -> RunPlan:
    """The plan of the 14B example with one value changed."""
    (document,) = read_documents(EXAMPLE.read_text())
    resource = parse_resource(changed(document, path, value))
    assert isinstance(resource, TrainingRunResource)
    return plan_run(resource.resolved(), SHAPE, gpu_gib * GIB)


def test_the_14b_example_fits_its_32_gpus() -> None:
    """8 GPUs train and 24 answer, 16 sandboxes ask for 128 cores; nothing is refused."""
    plan = example()
    assert plan.refusals == ()
    assert {role.role: (role.replicas, role.gpus) for role in plan.roles if role.gpus} == {
        "trainer": (1, 8),
        "rollout": (12, 24),
    }
    (sandbox,) = (role for role in plan.roles if role.role == "sandbox")
    assert (sandbox.cpu, sandbox.memory) == (128, 256 * GIB)
    assert plan.gpus == 32


def test_steps_and_tokens_of_the_14b_example() -> None:
    """180 steps of 1,024 answers of 2,048 + 16,384 tokens, then 70 of 2,048 + 32,768; two optimizer steps each."""
    plan = example()
    assert [stage.most_tokens for stage in plan.stages] == [180 * 1024 * 18432, 70 * 1024 * 34816]
    assert [stage.optimizer_steps for stage in plan.stages] == [360, 140]
    assert (plan.steps, plan.most_tokens) == (250, 180 * 1024 * 18432 + 70 * 1024 * 34816)


def test_a_stage_counts_with_values_of_its_own() -> None:
    """Half the prompts in the second stage are half its answers, and its microbatch is told."""
    plan = example("spec.stages[1].promptsPerStep", 64)
    assert [stage.answers for stage in plan.stages] == [180 * 1024, 70 * 512]
    assert plan.stages[1].most_tokens == 70 * 512 * 34816
    plan = example("spec.stages[1].tokensPerMicrobatch", 20_000)
    assert [stage.tokens_per_microbatch for stage in plan.stages] == [17408, 20_000]
    assert plan.trainer is not None
    assert plan.trainer.stage == "32k"


def test_what_is_enough_counts_the_ranks_that_share_a_microbatch() -> None:
    """Two ranks hold a sample of 34,816 tokens with 17,408 each."""
    (refusal,) = example("spec.trainer.tokensPerMicrobatch", 70_000).refusals
    assert "at least 17408" in str(refusal)


@pytest.mark.parametrize(
    ("path", "value", "gpu_gib", "refused"),
    [
        ("spec.trainer.deepspeed.zeroStage", 1, 80, "spec.trainer.deepspeed.zeroStage: 1: a rank needs"),
        ("spec.trainer.deepspeed.zeroStage", 2, 72, "spec.trainer.deepspeed.zeroStage: 2: a rank needs"),
        ("spec.trainer.gpusPerReplica", 2, 80, "spec.trainer.replicas: 1: a rank needs"),
        ("spec.trainer.tokensPerMicrobatch", 70_000, 80, "spec.trainer.tokensPerMicrobatch: 70000: a rank needs"),
        (
            "spec.stages[1].tokensPerMicrobatch",
            70_000,
            80,
            "spec.stages[1].tokensPerMicrobatch: 70000: a rank needs",
        ),
        ("spec.rollout.tensorParallel", 1, 40, "spec.rollout.tensorParallel: 1: "),
        ("spec.rollout.maxModelLength", 200_000, 80, "spec.rollout.maxModelLength: 200000: prompt and response are"),
        ("spec.data.maxPromptTokens", 1_000, 24, "spec.trainer.replicas: 1: a rank needs"),
    ],
)
def test_what_cannot_fit_is_refused_with_its_field(path: str, value: Any, gpu_gib: int, refused: str) -> None:
    """The field, its value, and what it needs of what is there."""
    refusals = [str(refusal) for refusal in example(path, value, gpu_gib).refusals]
    assert any(text.startswith(refused) for text in refusals), refusals


def offloading(limit: str) -> RunPlan:
    """The 14B example at ZeRO 2 with its optimizer offloaded, its trainer's memory limited."""
    (document,) = read_documents(EXAMPLE.read_text())
    document = changed(document, "spec.trainer.deepspeed", {"zeroStage": 2, "offload": "optimizer"})
    resource = parse_resource(changed(document, "spec.trainer.pod", {"resources": {"limits": {"memory": limit}}}))
    assert isinstance(resource, TrainingRunResource)
    return plan_run(resource.resolved(), SHAPE, 80 * GIB)


def test_what_is_offloaded_is_counted_in_the_pod() -> None:
    """8 ranks: 18 bytes a parameter are shared by all, and two versions of bf16 weights are published."""
    plan = offloading("400Gi")
    assert plan.refusals == ()
    assert plan.trainer is not None
    assert plan.trainer.ranks_per_pod == 8
    assert plan.trainer.node == pytest.approx((18 + 2 * 2) * 14_770_033_664, abs=16)
    assert plan.trainer.optimizer == 0


def test_a_pod_that_may_not_hold_what_is_offloaded_is_refused() -> None:
    """302.6 GiB do not fit 300."""
    (refusal,) = offloading("300Gi").refusals
    assert str(refusal).startswith("spec.trainer.pod.resources.limits.memory")
    assert "8 ranks keep 302.6 GiB there" in refusal.reason


def test_heads_must_be_shared_evenly() -> None:
    """40 heads over 3 GPUs."""
    document = training_run(rollout={"gpusPerReplica": 3, "tensorParallel": 3})
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    plan = plan_run(resource.resolved(), SHAPE, 80 * GIB)
    refusals = {refusal.field: refusal.reason for refusal in plan.refusals}
    assert refusals["spec.rollout.tensorParallel"] == "must divide the model's 40 attention heads"


def test_idle_gpus_are_remarked() -> None:
    """A pod runs one server, of tensorParallel GPUs."""
    assert example("spec.rollout.gpusPerReplica", 8).remarks == (
        "spec.rollout.tensorParallel: 2 of 8 GPUs of a server are used, 6 idle: a pod runs one server",
    )


def test_a_run_on_cpu_is_never_refused_for_gpu_memory() -> None:
    """Its memory is the host's, which is not known here."""
    document = training_run(trainer={"gpusPerReplica": 0}, rollout={"gpusPerReplica": 0})
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    plan = plan_run(resource.resolved(), SHAPE, GIB)
    assert plan.refusals == ()
    assert plan.trainer is not None
    assert not plan.trainer.on_gpu


def test_without_a_shape_there_is_no_memory_and_all_else() -> None:
    """Pods and stages do not depend on the model."""
    (document,) = read_documents(EXAMPLE.read_text())
    resource = parse_resource(document)
    assert isinstance(resource, TrainingRunResource)
    plan = plan_run(resource.resolved(), None, GIB)
    assert (plan.trainer, plan.rollout, plan.refusals) == (None, None, ())
    assert plan.roles == example().roles
