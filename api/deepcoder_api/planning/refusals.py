"""Why a run cannot fit its GPUs: the field, its value, and what would do. Pure."""

from __future__ import annotations

from deepcoder_api.planning.model_shape import ModelShape
from deepcoder_api.planning.plan_models import GIB, PlannedRefusal, PlannedRollout, PlannedTrainer
from deepcoder_api.quantities import quantity
from deepcoder_api.resolve import ResolvedRun


def trainer_refusals(run: ResolvedRun, trainer: PlannedTrainer | None, gpu_memory: int) -> list[PlannedRefusal]:
    """Of the trainer's ranks: the state alone does not fit, or the activations beside it do not. None on a CPU.

    And of its pods, where they have a limit: what lies in the node's memory is more than that.
    """
    if trainer is None or not trainer.on_gpu:
        return []
    of_pod = _pod_refusals(run, trainer)
    if trainer.total <= gpu_memory:
        return of_pod
    spec = run.spec.trainer
    state = trainer.weights + trainer.gradients + trainer.optimizer + trainer.buffers + trainer.context
    more = "more ranks, or GPUs with more memory"
    more = f"deepspeed.offload, {more}" if spec.deepspeed.offload == "none" else more
    sharing = more if spec.deepspeed.zero_stage == 3 else f"a higher zeroStage, {more}"
    needs = f"a rank needs {_gib(trainer.total)} of {_gib(gpu_memory)}"
    if state + trainer.update > gpu_memory:
        of_stage = spec.deepspeed.zero_stage < 3
        return [
            *of_pod,
            PlannedRefusal(
                field="spec.trainer.deepspeed.zeroStage" if of_stage else "spec.trainer.replicas",
                value=spec.deepspeed.zero_stage if of_stage else spec.replicas,
                reason=f"{needs}, {_gib(state)} of it before the first token (weights, gradients, optimizer, buffers) "
                f"with {trainer.ranks} ranks: use {sharing}",
            ),
        ]
    index, stage = next((n, stage) for n, stage in enumerate(run.stages) if stage.name == trainer.stage)
    its_own = run.spec.stages[index].tokens_per_microbatch is not None
    longest = stage.max_response_tokens if its_own else max(one.max_response_tokens for one in run.stages)
    needed = -(-(run.spec.data.max_prompt_tokens + longest) // spec.sequence_parallel)
    fewer = f"fewer tokens (at least {needed}), " if stage.tokens_per_microbatch > needed else "shorter stages, "
    return [
        *of_pod,
        PlannedRefusal(
            field=f"spec.stages[{index}].tokensPerMicrobatch" if its_own else "spec.trainer.tokensPerMicrobatch",
            value=stage.tokens_per_microbatch,
            reason=f"{needs}, {_gib(trainer.checkpoints + max(trainer.layer, trainer.head))} of it activations in "
            f"stage {trainer.stage}: use {fewer}{sharing}",
        ),
    ]


def _pod_refusals(run: ResolvedRun, trainer: PlannedTrainer) -> list[PlannedRefusal]:
    limit = run.spec.trainer.pod.resources.limits.get("memory")
    if limit is None or trainer.node <= quantity(limit):
        return []
    return [
        PlannedRefusal(
            field="spec.trainer.pod.resources.limits.memory",
            value=limit,
            reason=f"a pod's {trainer.ranks_per_pod} ranks keep {_gib(trainer.node)} there (what is offloaded, and two "
            "versions of the weights for rollout servers) beside their processes: allow more, or share the model over "
            "more pods",
        )
    ]


def rollout_refusals(
    run: ResolvedRun, shape: ModelShape | None, rollout: PlannedRollout | None
) -> list[PlannedRefusal]:
    """Of the rollout servers: heads that cannot be shared, too long a context, no room for one whole sequence."""
    if shape is None or rollout is None:
        return []
    refusals: list[PlannedRefusal] = []
    parallel, length = run.spec.rollout.tensor_parallel, run.max_model_length
    if shape.heads % parallel:
        refusals.append(
            PlannedRefusal(
                field="spec.rollout.tensorParallel",
                value=parallel,
                reason=f"must divide the model's {shape.heads} attention heads",
            )
        )
    if shape.positions is not None and length > shape.positions:
        refusals.append(
            PlannedRefusal(
                field="spec.rollout.maxModelLength" if run.spec.rollout.max_model_length else "spec.stages",
                value=length,
                reason=f"prompt and response are longer than the model's max_position_embeddings ({shape.positions})",
            )
        )
    if rollout.kv_cache <= 0:
        refusals.append(
            PlannedRefusal(
                field="spec.rollout.tensorParallel",
                value=parallel,
                reason=f"a GPU of a server needs {_gib(rollout.weights + rollout.activations)} before its first token "
                f"and may take {_gib(rollout.budget)} (gpuMemoryUtilization "
                f"{run.spec.rollout.gpu_memory_utilization}): share the model over more GPUs, or use GPUs with more "
                "memory",
            )
        )
    elif rollout.sequences < 1:
        refusals.append(
            PlannedRefusal(
                field="spec.rollout.tensorParallel" if rollout.on_gpu else "spec.rollout.maxModelLength",
                value=parallel if rollout.on_gpu else length,
                reason=f"the KV cache of a server holds {rollout.kv_cache // rollout.kv_bytes_per_token} tokens, and a "
                f"sequence may have {length}: share the model over more GPUs, or shorten the stages",
            )
        )
    return refusals


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
