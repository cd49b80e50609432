"""Memory of one trainer rank: the model's state by ZeRO stage and offload, activations, the head's chunk. No I/O.

Bytes throughout. What is counted is what the engine holds (`deepcoder_trainer.engine`): weights in the run's precision,
fp32 gradients, and for AdamW fp32 master weights and two fp32 moments. With bf16 that is 18 bytes a parameter, two more
than in the ZeRO paper (arXiv:1910.02054, section 3.1), whose gradients are fp16. What is offloaded lies in the node's
memory, and DeepSpeed keeps a gradient and a copy of the weights beside it there. A test counts the engine's tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepcoder_api.planning.model_shape import ModelShape
from deepcoder_api.training_run import Offload

FP32 = 4
# DeepSpeed's defaults, in elements: zero_optimization.reduce_bucket_size, sub_group_size, stage3_max_live_parameters.
REDUCE_BUCKET = 500_000_000
SUB_GROUP = 1_000_000_000
LIVE_PARAMETERS = 1_000_000_000
HEAD_CHUNK_TOKENS = 1024
"""Tokens whose logits exist at once; a test holds it against the trainer's own."""
CUDA_CONTEXT = 2 * 2**30
"""Kept apart for the CUDA context, NCCL's buffers and what the allocator cannot use. An estimate, never measured."""
PUBLISHED_VERSIONS = 2
"""Of the weights, in the node's memory for rollout servers to fetch: the newest, and the one before."""


@dataclass(frozen=True)
class ParameterBytes:
    """Bytes that one parameter takes as weight, as gradient and in the optimizer, on a rank that holds it whole.

    offloaded: bytes of it in the node's memory; the others are the GPU's.
    """

    weight: int
    gradient: int
    optimizer: int
    offloaded: int = 0


def parameter_bytes(precision: Literal["bf16", "fp32"], zero_stage: int, offload: Offload = "none") -> ParameterBytes:
    """Of our engine. Under ZeRO the optimizer keeps an fp32 copy of its own; without it fp32 weights are the only.

    With bf16 in stage 1 backward's own gradients, bf16, are there beside the fp32 sums.
    """
    weight = element_bytes(precision)
    if offload != "none":
        return _offloaded_bytes(weight, zero_stage, offload)
    gradient = FP32 + weight if precision == "bf16" and zero_stage <= 1 else FP32
    return ParameterBytes(weight, gradient, 2 * FP32 if precision == "fp32" and zero_stage == 0 else 3 * FP32)


def element_bytes(precision: Literal["bf16", "fp32"]) -> int:
    """Of a weight in forward and backward."""
    return 2 if precision == "bf16" else FP32


def _offloaded_bytes(weight: int, zero_stage: int, offload: Offload) -> ParameterBytes:
    """In the node: master weights, moments and the gradient that they are updated by, and what each stage adds.

    Below stage 3 the updated weights on their way to the GPU; fp32 sums of bf16 gradients stay on the GPU, those of
    fp32 ones are in the node. In stage 3 the sums are in the node; with the parameters offloaded the weights too.
    """
    offloaded = 3 * FP32 + FP32
    if zero_stage < 3:
        sums_on_gpu = weight < FP32
        return ParameterBytes(
            weight, FP32 * sums_on_gpu, optimizer=0, offloaded=offloaded + weight + FP32 * (not sums_on_gpu)
        )
    everything = offload == "parameters"
    return ParameterBytes(weight * (not everything), 0, 0, offloaded + FP32 + weight * everything)


@dataclass(frozen=True)
class StateMemory:
    """The model's state on one rank. `offloaded`: its share in the node's memory."""

    weights: int
    gradients: int
    optimizer: int
    offloaded: int = 0

    @property
    def total(self) -> int:
        """All of it that is on the GPU."""
        return self.weights + self.gradients + self.optimizer


def state_memory(parameters: int, each: ParameterBytes, zero_stage: int, ranks: int) -> StateMemory:
    """ZeRO shares the optimizer from stage 1 on, gradients from 2, weights from 3 (arXiv:1910.02054, figure 1).

    Gradients are shared from 1 on where the optimizer is offloaded: each rank sums those of its own weights.
    """

    def held(size: int, shared_from: int) -> int:
        whole = parameters * size
        return -(-whole // ranks) if zero_stage >= shared_from else whole

    return StateMemory(
        weights=held(each.weight, 3),
        gradients=held(each.gradient, 1 if each.offloaded else 2),
        optimizer=held(each.optimizer, 1),
        offloaded=held(each.offloaded, 1),
    )


@dataclass(frozen=True)
class TrainerMemory:
    """What one rank needs at its worst moment: in backward, or in the optimizer's step, when activations are gone.

    checkpoints: the input of every layer, kept for backward, or all that it keeps where it is not computed again.
    layer: what one layer keeps while it is computed again, and the gradients of its gate, up and product. head: the
    logits of one chunk of tokens and what softmax makes of them. buffers: what ZeRO
    gathers and reduces at a time. update: temporaries of AdamW's step, where the GPU does it. published: the rank's
    share of the weights that rollout servers fetch, in the node's memory.
    """

    state: StateMemory
    buffers: int
    checkpoints: int
    layer: int
    head: int
    update: int
    published: int

    @property
    def activations(self) -> int:
        """The head is done before a layer is computed again, so the larger of the two counts."""
        return self.checkpoints + max(self.layer, self.head)

    @property
    def total(self) -> int:
        """At the worst moment."""
        return self.state.total + self.buffers + max(self.activations, self.update)


def trainer_memory(
    shape: ModelShape,
    *,
    precision: Literal["bf16", "fp32"],
    zero_stage: int,
    ranks: int,
    tokens: int,
    recomputes: bool = True,
    offload: Offload = "none",
) -> TrainerMemory:
    """Of a rank whose largest microbatch has `tokens` tokens. recomputes: layers are computed again in backward."""
    if precision == "bf16":
        zero_stage = max(1, zero_stage)  # as the engine does
    element, each = element_bytes(precision), parameter_bytes(precision, zero_stage, offload)
    shared = -(-shape.parameters // ranks) if zero_stage else shape.parameters
    return TrainerMemory(
        state=state_memory(shape.parameters, each, zero_stage, ranks),
        buffers=_buffers(shape, element, zero_stage),
        checkpoints=tokens * shape.layers * (shape.hidden * element if recomputes else _kept(shape, element)),
        layer=tokens * (_kept(shape, element) * recomputes + 3 * shape.intermediate * element),
        head=min(tokens, HEAD_CHUNK_TOKENS) * shape.vocabulary * (element + 4 * FP32)
        + 2 * tokens * shape.hidden * element,
        # A flat copy of the gradients, and the square root of the second moment.
        update=2 * FP32 * min(shared, SUB_GROUP if zero_stage == 3 else shared) * (offload == "none"),
        published=-(-PUBLISHED_VERSIONS * shape.parameters * element // ranks),
    )


def _buffers(shape: ModelShape, weight: int, zero_stage: int) -> int:
    largest = max(shape.embedding_parameters, shape.layer_parameters)
    if zero_stage == 0:
        return 0
    bucket = max(REDUCE_BUCKET, largest) * FP32 if zero_stage >= 2 else largest * weight
    return bucket + (min(LIVE_PARAMETERS, shape.parameters) * weight if zero_stage == 3 else 0)


def _kept(shape: ModelShape, element: int) -> int:
    """Bytes a token of what a decoder layer of transformers keeps for its backward.

    Two RMSNorms, each computed in fp32 (the input and the normalized, and the normalized in the weights' precision);
    queries, keys and values, and attention's output; gate, its SiLU, up and their product.
    """
    norms = 2 * shape.hidden * (2 * FP32 + element)
    attention = 2 * element * shape.head_width * (shape.heads + shape.key_value_heads)
    return norms + attention + element * 4 * shape.intermediate
