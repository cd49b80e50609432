"""GPU memory of one vLLM server: weights by tensor parallelism, and how many sequences its KV cache holds. No I/O.

Bytes of one GPU throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.planning.model_shape import ModelShape

CPU_KV_CACHE = 2**30
"""VLLM_CPU_KVCACHE_SPACE as `processes` sets it, for a server without a GPU; a test holds one against the other."""
GRAPHS = 2**30
"""CUDA graphs, communication buffers and the context, which vLLM takes out of its share. An estimate."""
BATCHED_TOKENS = 8192
"""Tokens that vLLM computes at once on a GPU of 70 GiB or more (its `max_num_batched_tokens` for a server)."""
SAMPLED_SEQUENCES = 1024
"""Sequences that it samples for at once there (`max_num_seqs`): fp32 logits, processed, and sorted or as logarithms."""


@dataclass(frozen=True)
class RolloutMemory:
    """One GPU of a server. `sequences`: how many of the longest fit the KV cache at once; fewer than 1 cannot start."""

    budget: int
    weights: int
    activations: int
    kv_cache: int
    kv_bytes_per_token: int
    sequence_bytes: int

    @property
    def sequences(self) -> float:
        """Sequences of the model's longest length that the cache holds."""
        return max(0, self.kv_cache) / self.sequence_bytes


def rollout_memory(
    shape: ModelShape, *, gpu_bytes: int, utilization: float, tensor_parallel: int, tokens: int, element: int
) -> RolloutMemory:
    """tokens: of the longest sequence. element: bytes of a weight. gpu_bytes 0 is a server without a GPU.

    vLLM shares matrices and KV heads over the GPUs and copies a KV head when there are more GPUs than heads.
    """
    weights = -(-shape.parameters * element // tensor_parallel)
    heads = -(-shape.key_value_heads // tensor_parallel)
    per_token = 2 * shape.layers * heads * shape.head_width * element
    if gpu_bytes:
        layer = BATCHED_TOKENS * element * (4 * shape.hidden + 3 * -(-shape.intermediate // tensor_parallel))
        activations = GRAPHS + max(layer, 3 * 4 * SAMPLED_SEQUENCES * shape.vocabulary)
        budget = int(gpu_bytes * utilization)
        cache = budget - weights - activations
    else:
        activations, budget, cache = 0, weights + CPU_KV_CACHE, CPU_KV_CACHE
    return RolloutMemory(budget, weights, activations, cache, per_token, per_token * tokens)
