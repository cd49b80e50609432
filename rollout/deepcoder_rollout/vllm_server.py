"""The vLLM server process beside the agent: its command line, and its control routes as a small client."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from deepcoder_api.processes import POLICY_NAME
from deepcoder_rollout.plugin import ENGINE_NAME

KEEP_ALIVE_SECONDS = 75
"""How long the server keeps a connection over which nothing is asked: longer than any client of ours does."""


class ServerFailedError(Exception):
    """vLLM ended, or did not answer in time. Another start may help."""


@dataclass(frozen=True)
class ServerOptions:
    """What vLLM is started with. Lengths in tokens; `gpus` 0 means CPU."""

    model_directory: str
    host: str
    port: int
    max_model_length: int
    tensor_parallel: int
    gpu_memory_utilization: float
    precision: str
    gpus: int
    extra_arguments: Sequence[str] = ()


def server_command(options: ServerOptions) -> list[str]:
    """The command of vLLM's OpenAI server with our weight engine, for rollouts.

    `--logprobs-mode processed_logprobs` and `--generation-config vllm` make the log-probabilities those of what was
    really sampled: temperature applied, nothing taken from the model's generation_config.
    """
    dtype = {"bf16": "bfloat16", "fp32": "float32"}[options.precision]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", options.model_directory, "--served-model-name", POLICY_NAME),
        *("--host", options.host, "--port", str(options.port)),
        *("--max-model-len", str(options.max_model_length), "--dtype", dtype),
        *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"),
        *("--weight-transfer-config", f'{{"backend": "{ENGINE_NAME}"}}'),
        *("--tensor-parallel-size", str(options.tensor_parallel), "--enable-prefix-caching"),
        "--enable-scale-out",  # the token route, whose answers say which weights sampled each token
    ]
    if options.gpus == 0:
        # A prompt is never cut in parts: vLLM then sets a seeded sampler back, which torch's CPU generator cannot.
        command += ["--enforce-eager", "--no-enable-chunked-prefill"]
    else:
        command += ["--gpu-memory-utilization", str(options.gpu_memory_utilization)]
    return [*command, *options.extra_arguments]


def server_environment(gpus: int) -> dict[str, str]:
    """The agent's environment and what opens vLLM's RL routes; only the network keeps others from them."""
    environment = {
        **os.environ,
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        # vLLM's 5 s are as long as httpx keeps a connection: one that the server closes just when it is asked over it
        # loses the request, and the server gets no prompt until it says again that it is ready.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(KEEP_ALIVE_SECONDS),
    }
    if gpus == 0:
        environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    # The bucket's credentials are the model fetch's; a server that answers requests has no use for them.
    return {name: value for name, value in environment.items() if not name.startswith("AWS_") and name != "HF_TOKEN"}


class ServerControl:
    """vLLM's control routes: health, pause, load, resume."""

    def __init__(self, base_url: str, client: httpx.AsyncClient) -> None:
        self._base = base_url
        self._client = client

    async def healthy(self) -> bool:
        """Whether the server answers now."""
        try:
            response = await self._client.get(f"{self._base}/health", timeout=5.0)
        except httpx.HTTPError:
            return False
        return response.status_code == 200

    async def wait_healthy(self, process: asyncio.subprocess.Process, deadline_seconds: float) -> None:
        """Wait until it answers. Raises ServerFailedError when the process ends or the deadline passes."""
        try:
            async with asyncio.timeout(deadline_seconds):
                while not await self.healthy():
                    if process.returncode is not None:
                        raise ServerFailedError(f"vLLM ended with exit code {process.returncode} before it was ready")
                    await asyncio.sleep(0.5)
        except TimeoutError as error:
            raise ServerFailedError(f"vLLM was not ready after {deadline_seconds:.0f} s") from error

    async def metrics(self) -> str:
        """What the server tells Prometheus. Raises ServerFailedError."""
        try:
            response = await self._client.get(f"{self._base}/metrics", timeout=5.0)
        except httpx.HTTPError as error:
            raise ServerFailedError(f"vLLM did not answer /metrics: {error!r}") from error
        if response.status_code != 200:
            raise ServerFailedError(f"vLLM refused /metrics with {response.status_code}")
        return response.text

    async def generate_one(self, *, deadline_seconds: float) -> None:
        """Have one token generated. Raises ServerFailedError when none comes; a refusal says nothing of the engine."""
        body = {"model": POLICY_NAME, "prompt": [0], "max_tokens": 1}
        response = await self._answer_to("/v1/completions", body, deadline_seconds)
        if response.status_code >= 500:
            raise ServerFailedError(f"vLLM gave no token: {response.status_code} {response.text[:500]}")

    async def initialize(self, root: str) -> None:
        """Start the weight engine with the folder that updates come from."""
        await self._post("/init_weight_transfer_engine", {"init_info": {"root": root}}, deadline_seconds=60)

    async def load(self, directory: str, version: int, *, clear_cache: bool, deadline_seconds: float) -> None:
        """Load a folder between a pause and a resume; running requests are kept and go on with the new weights.

        Raises ServerFailedError; the weights are then neither old nor new, and the server must not be used.
        """
        async with asyncio.timeout(deadline_seconds):
            # With its cache cleared vLLM computes what it is at again, under the new weights, when it goes on.
            clear = "true" if clear_cache else "false"
            await self._post(f"/pause?mode=keep&clear_cache={clear}", None, deadline_seconds=deadline_seconds)
            await self._post("/start_weight_update", None, deadline_seconds=deadline_seconds)
            await self._post(
                "/update_weights", {"update_info": {"directory": directory}}, deadline_seconds=deadline_seconds
            )
            await self._post(
                "/finish_weight_update", {"weight_version": str(version)}, deadline_seconds=deadline_seconds
            )
            await self._post("/resume", None, deadline_seconds=deadline_seconds)

    async def _post(self, path: str, body: dict[str, object] | None, *, deadline_seconds: float) -> None:
        response = await self._answer_to(path, body, deadline_seconds)
        if response.status_code != 200:
            raise ServerFailedError(f"vLLM refused {path} with {response.status_code}: {response.text[:500]}")

    async def _answer_to(self, path: str, body: dict[str, object] | None, deadline_seconds: float) -> httpx.Response:
        try:
            return await self._client.post(f"{self._base}{path}", json=body, timeout=deadline_seconds)
        except httpx.HTTPError as error:
            raise ServerFailedError(f"vLLM did not answer {path}: {error!r}") from error
