"""How vLLM is started and controlled."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from deepcoder_rollout.vllm_server import (
    ServerControl,
    ServerFailedError,
    ServerOptions,
    server_command,
    server_environment,
)

OPTIONS = ServerOptions(
    model_directory="/model", host="0.0.0.0", port=8000, max_model_length=2048, tensor_parallel=1,
    gpu_memory_utilization=0.8, precision="fp32", gpus=0,
)  # fmt: skip
LOADING = [
    "/pause",
    "/start_weight_update",
    "/update_weights",
    "/finish_weight_update",
    "/resume",
]


def value(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


def test_idle_connections_are_the_clients_to_close() -> None:
    """httpx gives one up after 5 s; a server that closed it as early would lose what is asked at that moment."""
    kept = float(server_environment(gpus=0)["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"])
    expiry = httpx.Limits().keepalive_expiry
    assert expiry is not None
    assert kept > 2 * expiry


def test_what_is_sampled_is_what_is_told() -> None:
    """Processed log-probabilities, and nothing from the model's generation_config that would bend the distribution."""
    command = server_command(OPTIONS)
    assert value(command, "--logprobs-mode") == "processed_logprobs"
    assert value(command, "--generation-config") == "vllm"
    assert json.loads(value(command, "--weight-transfer-config")) == {"backend": "deepcoder"}
    assert value(command, "--max-model-len") == "2048"


def test_cpu_and_gpu_differ_where_they_must() -> None:
    """Eager and float32 on CPU; a share of the memory and bfloat16 on GPU; further arguments come last."""
    on_cpu = server_command(OPTIONS)
    assert {"--enforce-eager", "--no-enable-chunked-prefill"} <= set(on_cpu)
    assert "--gpu-memory-utilization" not in on_cpu
    assert value(on_cpu, "--dtype") == "float32"
    on_gpu = server_command(
        replace(OPTIONS, gpus=2, tensor_parallel=2, precision="bf16", extra_arguments=["--seed", "1"])
    )
    assert "--enforce-eager" not in on_gpu
    assert value(on_gpu, "--gpu-memory-utilization") == "0.8"
    assert value(on_gpu, "--tensor-parallel-size") == "2"
    assert value(on_gpu, "--dtype") == "bfloat16"
    assert on_gpu[-2:] == ["--seed", "1"]


def test_the_server_gets_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket's keys and the hub's token are the fetch's; the rest of the environment is passed on."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "KEPT"):
        monkeypatch.setenv(name, "x")
    environment = server_environment(gpus=0)
    assert not [name for name in environment if name.startswith("AWS_") or name == "HF_TOKEN"]
    assert (environment["KEPT"], environment["VLLM_SERVER_DEV_MODE"]) == ("x", "1")
    assert "VLLM_CPU_KVCACHE_SPACE" in environment


class Vllm:
    """The control routes: keeps what was called; `broken` answers 500, `silent` breaks the connection."""

    def __init__(self, broken: str = "", silent: str = "") -> None:
        self.calls: list[tuple[str, object]] = []
        self.pauses: list[dict[str, str]] = []
        self._broken, self._silent = broken, silent

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((request.url.path, json.loads(request.content) if request.content else None))
        if request.url.path == "/pause":
            self.pauses.append(dict(request.url.params))
        if request.url.path == self._silent:
            raise httpx.ReadError("connection reset")
        return httpx.Response(500 if request.url.path == self._broken else 200, text="cannot")

    async def load(self, *, clear_cache: bool = True) -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as client:
            control = ServerControl("http://127.0.0.1:8000", client)
            await control.load("/shm/version-1-3", 3, clear_cache=clear_cache, deadline_seconds=5)


@pytest.mark.parametrize("clear_cache", [True, False])
async def test_a_load_lies_between_a_pause_and_a_resume(clear_cache: bool) -> None:
    """The folder and the version are told; what was computed by the old weights is dropped unless it is to stay."""
    vllm = Vllm()
    await vllm.load(clear_cache=clear_cache)
    assert [path for path, _ in vllm.calls] == LOADING
    assert vllm.pauses == [{"mode": "keep", "clear_cache": "true" if clear_cache else "false"}]
    bodies = dict(vllm.calls)
    assert bodies["/update_weights"] == {"update_info": {"directory": "/shm/version-1-3"}}
    assert bodies["/finish_weight_update"] == {"weight_version": "3"}


@pytest.mark.parametrize("path", LOADING)
async def test_a_refusal_stops_the_load_where_it_happens(path: str) -> None:
    """Nothing after it is done, so a half-loaded server is not resumed; the error has route, status and reason."""
    vllm = Vllm(broken=path)
    with pytest.raises(ServerFailedError, match=rf"refused {path}.* with 500: cannot"):
        await vllm.load()
    assert [called for called, _ in vllm.calls] == LOADING[: LOADING.index(path) + 1]


async def test_silence_is_a_failure_of_the_server() -> None:
    """A lost connection is told as ours, with the route."""
    with pytest.raises(ServerFailedError, match=r"did not answer /update_weights: .*connection reset"):
        await Vllm(silent="/update_weights").load()
