"""`plan_run`: what a run would start, its tokens and steps, its GPU memory, and why it cannot fit if so. No I/O."""

from __future__ import annotations

from dataclasses import asdict

from deepcoder_api.field_errors import FieldError
from deepcoder_api.planning.model_shape import ModelShape
from deepcoder_api.planning.rollout_memory import RolloutMemory, rollout_memory
from deepcoder_api.planning.trainer_memory import CUDA_CONTEXT, TrainerMemory, trainer_memory
from deepcoder_api.problems import Strict
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

GIB = 2**30


class PlannedRole(Strict):
    """The pods of one role. `cpu` (cores) and `memory` (bytes) are what they ask for, all replicas together."""

    role: str
    replicas: int
    gpus: int
    cpu: float
    memory: int
    whole_run: bool


class PlannedStage(Strict):
    """One stage. Tokens are of prompts and answers, at most: as if all were as long as they may be."""

    name: str
    steps: int
    max_response_tokens: int
    answers: int
    optimizer_steps: int
    most_tokens: int
    tokens_per_microbatch: int


class PlannedTrainer(Strict):
    """Bytes of one rank, in the stage that needs the most; see `TrainerMemory`. `on_gpu` False: of the host."""

    ranks: int
    on_gpu: bool
    stage: str
    weights: int
    gradients: int
    optimizer: int
    buffers: int
    checkpoints: int
    layer: int
    head: int
    update: int
    context: int
    total: int


class PlannedRollout(Strict):
    """Bytes of one GPU of a server; see `RolloutMemory`. `sequences` of `max_model_length` tokens fit at once."""

    servers: int
    on_gpu: bool
    max_model_length: int
    budget: int
    weights: int
    activations: int
    kv_cache: int
    kv_bytes_per_token: int
    sequences: float


class PlannedRefusal(Strict):
    """Why the run cannot fit: the field, its value, and what would do."""

    field: str
    value: int | float | str | None
    reason: str

    def __str__(self) -> str:
        return str(FieldError(self.field, self.value, self.reason))


class RunPlan(Strict):
    """All that is known of a run before it starts. Memory is absent where the model's shape is not known."""

    namespace: str
    name: str
    parameters: int | None
    gpu_memory: int
    gpus: int
    roles: tuple[PlannedRole, ...]
    stages: tuple[PlannedStage, ...]
    steps: int
    most_tokens: int
    trainer: PlannedTrainer | None
    rollout: PlannedRollout | None
    refusals: tuple[PlannedRefusal, ...]
    remarks: tuple[str, ...]


def plan_run(run: ResolvedRun, shape: ModelShape | None, gpu_memory: int) -> RunPlan:
    """The plan of a run whose model has `shape`, on GPUs of `gpu_memory` bytes each."""
    roles, stages = planned_roles(run), planned_stages(run)
    trainer = _trainer(run, shape, stages) if shape else None
    rollout = _rollout(run, shape, gpu_memory) if shape else None
    refusals = [*_trainer_refusals(run, trainer, gpu_memory), *_rollout_refusals(run, shape, rollout)]
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
    trainer = trainer_process(run, at, attempt=1, dataset="", replica_index="0", master_address="")
    return (
        _role(preflight_process(run, at), 1, whole_run=False),
        _role(prepare_process(run, at), 1, whole_run=False),
        _role(trainer, run.spec.trainer.replicas, whole_run=True),
        _role(rollout_process(run, at, host=""), run.spec.rollout.replicas, whole_run=True),
        _role(sandbox_process(run.spec.sandbox, at), run.spec.sandbox.replicas, whole_run=True),
    )


def planned_stages(run: ResolvedRun) -> tuple[PlannedStage, ...]:
    """Steps and tokens of each stage."""
    algorithm, spec = run.algorithm, run.spec
    answers = algorithm.prompts_per_step * algorithm.samples_per_prompt
    return tuple(
        PlannedStage(
            name=stage.name,
            steps=stage.steps,
            max_response_tokens=stage.max_response_tokens,
            answers=stage.steps * answers,
            optimizer_steps=stage.steps * algorithm.optimizer_steps_per_step,
            most_tokens=stage.steps * answers * (spec.data.max_prompt_tokens + stage.max_response_tokens),
            tokens_per_microbatch=spec.trainer.tokens_per_microbatch,
        )
        for stage in spec.stages
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
    ranks = spec.replicas * max(1, spec.gpus_per_replica)
    worst = max(stages, key=lambda stage: stage.tokens_per_microbatch)
    memory: TrainerMemory = trainer_memory(
        shape,
        precision=spec.precision,
        zero_stage=spec.deepspeed.zero_stage,
        ranks=ranks,
        tokens=worst.tokens_per_microbatch,
        recomputes=on_gpu,
    )
    context = CUDA_CONTEXT if on_gpu else 0
    return PlannedTrainer(
        ranks=ranks,
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


def _trainer_refusals(run: ResolvedRun, trainer: PlannedTrainer | None, gpu_memory: int) -> list[PlannedRefusal]:
    if trainer is None or not trainer.on_gpu or trainer.total <= gpu_memory:
        return []
    spec = run.spec.trainer
    state = trainer.weights + trainer.gradients + trainer.optimizer + trainer.buffers + trainer.context
    more = "more ranks, or GPUs with more memory"
    sharing = more if spec.deepspeed.zero_stage == 3 else f"a higher zeroStage, {more}"
    needs = f"a rank needs {_gib(trainer.total)} of {_gib(gpu_memory)}"
    if state + trainer.update > gpu_memory:
        of_stage = spec.deepspeed.zero_stage < 3
        return [
            PlannedRefusal(
                field="spec.trainer.deepspeed.zeroStage" if of_stage else "spec.trainer.replicas",
                value=spec.deepspeed.zero_stage if of_stage else spec.replicas,
                reason=f"{needs}, {_gib(state)} of it before the first token (weights, gradients, optimizer, buffers) "
                f"with {trainer.ranks} ranks: use {sharing}",
            )
        ]
    needed = run.spec.data.max_prompt_tokens + max(stage.max_response_tokens for stage in run.spec.stages)
    fewer = f"fewer tokens (at least {needed}), " if spec.tokens_per_microbatch > needed else "shorter stages, "
    return [
        PlannedRefusal(
            field="spec.trainer.tokensPerMicrobatch",
            value=spec.tokens_per_microbatch,
            reason=f"{needs}, {_gib(trainer.checkpoints + max(trainer.layer, trainer.head))} of it activations in "
            f"stage {trainer.stage}: use {fewer}{sharing}",
        )
    ]


def _rollout_refusals(
    run: ResolvedRun, shape: ModelShape | None, rollout: PlannedRollout | None
) -> list[PlannedRefusal]:
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


def _remarks(run: ResolvedRun) -> list[str]:
    rollout, remarks = run.spec.rollout, list[str]()
    if rollout.gpus_per_replica > rollout.tensor_parallel:
        idle = rollout.gpus_per_replica - rollout.tensor_parallel
        remarks.append(
            f"spec.rollout.tensorParallel: {rollout.tensor_parallel} of {rollout.gpus_per_replica} GPUs of a server "
            f"are used, {idle} idle: a pod runs one server"
        )
    return remarks


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
