"""Memory of a vLLM server's GPU, by hand."""

from __future__ import annotations

import pytest

from deepcoder_api.planning.model_shape import model_shape
from deepcoder_api.planning.rollout_memory import CPU_KV_CACHE, RolloutMemory, rollout_memory
from deepcoder_api.processes import Addresses, rollout_process
from tests.model_configs import QWEN2_5_14B
from tests.resolved_runs import resolved_run

GIB = 2**30


def memory(parallel: int, gpu_gib: int = 80) -> RolloutMemory:
    """Of Qwen2.5-14B at 0.8 of the GPU and 34,816 tokens."""
    shape = model_shape(QWEN2_5_14B)
    return rollout_memory(
        shape, gpu_bytes=gpu_gib * GIB, utilization=0.8, tensor_parallel=parallel, tokens=34816, element=2
    )


def test_14b_over_two_gpus() -> None:
    """Half the weights, 4 of 8 KV heads: 96 KiB a token, 3.2 GiB a sequence."""
    found = memory(2)
    assert found.weights == 14_770_033_664
    assert found.kv_bytes_per_token == 2 * 48 * 4 * 128 * 2 == 96 * 1024
    assert found.sequence_bytes == 34816 * 96 * 1024
    assert found.kv_cache == int(64 * GIB) - found.weights - found.activations
    assert found.sequences == pytest.approx(found.kv_cache / found.sequence_bytes)
    assert 14 < found.sequences < 16


def test_more_gpus_than_key_value_heads_hold_a_copy_each() -> None:
    """Of 8 heads over 16 GPUs each has one, not half of one."""
    assert memory(16).kv_bytes_per_token == memory(8).kv_bytes_per_token == 2 * 48 * 128 * 2


def test_weights_that_leave_no_room_hold_no_sequence() -> None:
    """29.5 GB of weights on 80 % of 24 GiB."""
    found = memory(1, gpu_gib=24)
    assert found.kv_cache < 0
    assert found.sequences == 0


def test_a_server_without_a_gpu_has_the_cache_that_its_process_is_given() -> None:
    """VLLM_CPU_KVCACHE_SPACE is in GiB."""
    process = rollout_process(resolved_run(), Addresses(), host="")
    assert int(process.environment["VLLM_CPU_KVCACHE_SPACE"]) * GIB == CPU_KV_CACHE
    shape = model_shape(QWEN2_5_14B)
    found = rollout_memory(shape, gpu_bytes=0, utilization=0.9, tensor_parallel=1, tokens=100, element=4)
    assert found.kv_cache == CPU_KV_CACHE
