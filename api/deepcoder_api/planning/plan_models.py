"""What a plan says: pods, stages, bytes, and why a run cannot fit. No I/O."""

from __future__ import annotations

from deepcoder_api.field_errors import FieldError
from deepcoder_api.problems import Strict

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
    """Bytes of one rank, in the stage that needs the most; see `TrainerMemory`. `on_gpu` False: of the node.

    `offloaded` and `published` are a rank's in the node's memory and no part of `total`; `node` is both, of all ranks
    of a pod: what it needs there beside what its processes do.
    """

    ranks: int
    ranks_per_pod: int
    on_gpu: bool
    stage: str
    weights: int
    gradients: int
    optimizer: int
    offloaded: int
    buffers: int
    checkpoints: int
    layer: int
    head: int
    update: int
    context: int
    total: int
    published: int
    node: int


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
