"""The command lines of the engines that answer in an Evaluation. Pure.

Arguments are from each server's own documentation: vLLM's `api_server`, SGLang's `launch_server` (docs.sglang.io,
server arguments), Text Generation Inference's launcher (huggingface.co/docs/text-generation-inference), TensorRT-LLM's
`trtllm-serve` (nvidia.github.io/TensorRT-LLM). Of these vLLM alone has run here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from deepcoder_api.evaluation import EngineKind, EngineSpec


@dataclass(frozen=True)
class Serving:
    """What is served, under which name, and where: the model's folder, an address to bind, a port."""

    model: str
    name: str
    host: str
    port: int
    python: str


def engine_command(engine: EngineSpec, serving: Serving) -> tuple[str, ...]:
    """The command of an engine, with the user's own arguments last."""
    return (*_COMMANDS[engine.kind](engine, serving), *engine.extra_args)


def _vllm(engine: EngineSpec, serving: Serving) -> tuple[str, ...]:
    on_cpu = ("--enforce-eager", "--no-enable-chunked-prefill", "--dtype", "float32")
    return (
        *(serving.python, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", serving.model, "--served-model-name", serving.name),
        *("--host", serving.host, "--port", str(serving.port)),
        *("--tensor-parallel-size", str(engine.tensor_parallel)),
        *_length(engine, "--max-model-len"),
        # Without chunked prefill: on CPU vLLM ends when it cuts the prompt of an answer that has a seed of its own.
        *(on_cpu if engine.gpus_per_replica == 0 else _memory(engine, "--gpu-memory-utilization")),
    )


def _sglang(engine: EngineSpec, serving: Serving) -> tuple[str, ...]:
    return (
        *("python3", "-m", "sglang.launch_server"),
        *("--model-path", serving.model, "--served-model-name", serving.name),
        *("--host", serving.host, "--port", str(serving.port)),
        *("--tp-size", str(engine.tensor_parallel)),
        *_length(engine, "--context-length"),
        *_memory(engine, "--mem-fraction-static"),
    )


def _tgi(engine: EngineSpec, serving: Serving) -> tuple[str, ...]:
    return (
        *("text-generation-launcher", "--model-id", serving.model),
        *("--hostname", serving.host, "--port", str(serving.port)),
        *("--num-shard", str(engine.tensor_parallel)),
        *_length(engine, "--max-total-tokens"),
        *_memory(engine, "--cuda-memory-fraction"),
    )


def _tensorrt_llm(engine: EngineSpec, serving: Serving) -> tuple[str, ...]:
    return (
        *("trtllm-serve", serving.model, "--backend", "pytorch"),
        *("--host", serving.host, "--port", str(serving.port)),
        *("--tp_size", str(engine.tensor_parallel)),
        *_length(engine, "--max_seq_len"),
        *_memory(engine, "--kv_cache_free_gpu_memory_fraction"),
    )


_COMMANDS: MappingProxyType[EngineKind, Callable[[EngineSpec, Serving], tuple[str, ...]]] = MappingProxyType(
    {"vllm": _vllm, "sglang": _sglang, "tgi": _tgi, "tensorrt-llm": _tensorrt_llm}
)


def _length(engine: EngineSpec, option: str) -> tuple[str, ...]:
    return () if engine.max_model_length is None else (option, str(engine.max_model_length))


def _memory(engine: EngineSpec, option: str) -> tuple[str, ...]:
    return option, str(engine.gpu_memory_utilization)
