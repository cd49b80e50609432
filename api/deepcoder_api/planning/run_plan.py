"""`plan_run`: what a run would start, its tokens and steps, its GPU memory, and why it cannot fit if so. No I/O."""

from __future__ import annotations

from dataclasses import asdict

from deepcoder_api.planning.model_shape import ModelShape
from deepcoder_api.planning.plan_models import (
    PlannedRole,
    PlannedRollout,
    PlannedStage,
    PlannedTrainer,
    RunPlan,
)
from deepcoder_api.planning.refusals import rollout_refusals, trainer_refusals
from deepcoder_api.planning.rollout_memory import RolloutMemory, rollout_memory
from deepcoder_api.planning.trainer_memory import CUDA_CONTEXT, TrainerMemory, trainer_memory
from deepcoder_api.processes import (
    Addresses,
    Process,
    preflight_process,
    prepare_process,
    rollout_process,
    sandbox_process,
    trainer_process,
)
from deepcoder_api.quantities import quantity
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage


def plan_run(run: ResolvedRun, shape: ModelShape | None, gpu_memory: int) -> RunPlan:
    """The plan of a run whose model has `shape`, on GPUs of `gpu_memory` bytes each."""
    roles, stages = planned_roles(run), planned_stages(run)
    trainer = _trainer(run, shape, stages) if shape else None
    rollout = _rollout(run, shape, gpu_memory) if shape else None
    refusals = [*trainer_refusals(run, trainer, gpu_memory), *rollout_refusals(run, shape, rollout)]
    return RunPlan(
        namespace=run.namespace,
        name=run.name,
        parameters=shape.parameters if shape else None,
        gpu_memory=gpu_memory,
        gpus=sum(role.gpus for role in roles),
        roles=roles,
        stages=stages,
        steps=run.total_steps,
        most_tokens=sum(stage.most_tokens for stage in stages),
        trainer=trainer,
        rollout=rollout,
        refusals=tuple(refusals),
        remarks=tuple(_remarks(run)),
    )


def planned_roles(run: ResolvedRun) -> tuple[PlannedRole, ...]:
    """The pods of a run, by role; preflight and prepare end before the trainer starts."""
    at = Addresses()
    trainer = trainer_process(run, at, attempt=1, dataset="", replica_index="0", master_address="", host="")
    return (
        _role(preflight_process(run, at), 1, whole_run=False),
        _role(prepare_process(run, at), 1, whole_run=False),
        _role(trainer, run.spec.trainer.replicas, whole_run=True),
        _role(rollout_process(run, at, host=""), run.spec.rollout.replicas, whole_run=True),
        _role(sandbox_process(run.spec.sandbox, at), run.spec.sandbox.replicas, whole_run=True),
    )


def planned_stages(run: ResolvedRun) -> tuple[PlannedStage, ...]:
    """Steps and tokens of each stage, with the values that are its own."""
    return tuple(_stage(stage, run.spec.data.max_prompt_tokens) for stage in run.stages)


def _stage(stage: ResolvedStage, max_prompt_tokens: int) -> PlannedStage:
    algorithm = stage.algorithm
    answers = stage.steps * algorithm.prompts_per_step * algorithm.samples_per_prompt
    return PlannedStage(
        name=stage.name,
        steps=stage.steps,
        max_response_tokens=stage.max_response_tokens,
        answers=answers,
        optimizer_steps=stage.steps * algorithm.optimizer_steps_per_step,
        most_tokens=answers * (max_prompt_tokens + stage.max_response_tokens),
        tokens_per_microbatch=stage.tokens_per_microbatch,
    )


def _role(process: Process, replicas: int, *, whole_run: bool) -> PlannedRole:
    """A limit without a request is the request, as Kubernetes has it."""
    asked = {**process.resources.limits, **process.resources.requests}
    return PlannedRole(
        role=process.role,
        replicas=replicas,
        gpus=replicas * process.gpus,
        cpu=replicas * quantity(asked.get("cpu", "0")),
        memory=int(replicas * quantity(asked.get("memory", "0"))),
        whole_run=whole_run,
    )


def _trainer(run: ResolvedRun, shape: ModelShape, stages: tuple[PlannedStage, ...]) -> PlannedTrainer:
    spec = run.spec.trainer
    on_gpu = spec.gpus_per_replica > 0
    worst = max(stages, key=lambda stage: stage.tokens_per_microbatch)
    memory: TrainerMemory = trainer_memory(
        shape,
        precision=spec.precision,
        zero_stage=spec.deepspeed.zero_stage,
        ranks=spec.ranks,
        tokens=worst.tokens_per_microbatch,
        recomputes=on_gpu,
        offload=spec.deepspeed.offload,
    )
    context = CUDA_CONTEXT if on_gpu else 0
    return PlannedTrainer(
        ranks=spec.ranks,
        ranks_per_pod=spec.ranks // spec.replicas,
        on_gpu=on_gpu,
        stage=worst.name,
        **asdict(memory.state),
        buffers=memory.buffers,
        checkpoints=memory.checkpoints,
        layer=memory.layer,
        head=memory.head,
        update=memory.update,
        context=context,
        total=memory.total + context,
        published=memory.published,
        node=spec.ranks // spec.replicas * (memory.state.offloaded + memory.published),
    )


def _rollout(run: ResolvedRun, shape: ModelShape, gpu_memory: int) -> PlannedRollout:
    spec = run.spec.rollout
    memory: RolloutMemory = rollout_memory(
        shape,
        gpu_bytes=gpu_memory if spec.gpus_per_replica else 0,
        utilization=spec.gpu_memory_utilization,
        tensor_parallel=spec.tensor_parallel,
        tokens=run.max_model_length,
        element=2 if run.spec.trainer.precision == "bf16" else 4,
    )
    return PlannedRollout(
        servers=spec.replicas,
        on_gpu=spec.gpus_per_replica > 0,
        max_model_length=run.max_model_length,
        budget=memory.budget,
        weights=memory.weights,
        activations=memory.activations,
        kv_cache=memory.kv_cache,
        kv_bytes_per_token=memory.kv_bytes_per_token,
        sequences=memory.sequences,
    )


def _remarks(run: ResolvedRun) -> list[str]:
    rollout, remarks = run.spec.rollout, list[str]()
    if rollout.gpus_per_replica > rollout.tensor_parallel:
        idle = rollout.gpus_per_replica - rollout.tensor_parallel
        remarks.append(
            f"spec.rollout.tensorParallel: {rollout.tensor_parallel} of {rollout.gpus_per_replica} GPUs of a server "
            f"are used, {idle} idle: a pod runs one server"
        )
    return remarks
