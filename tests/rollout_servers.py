"""Real agents with a real vLLM each, and what their answers should be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from deepcoder_api.processes import Addresses, rollout_process
from deepcoder_api.rollout import Heartbeat
from deepcoder_trainer.orchestrator.generation import Answer, Generator, Question
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from tests.resolved_runs import resolved_run

# vLLM and transformers order float32 sums differently; on a 2-layer model the log-probabilities were seen to agree to
# 1e-5. A stale or misplaced weight moves them by more than 0.1 (the models share no value).
TOLERANCE = 2e-4
PROMPT = list(range(10, 40))
# 40 s to a server on an idle machine of two cores; many times that on a busy one.
START_SECONDS = 900.0


@dataclass(frozen=True)
class RunningAgent:
    """An agent's process; `log` has what it and its vLLM say."""

    name: str
    agent: str
    generate: str
    shards: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for_status(self, url: str, status: int, seconds: float = START_SECONDS) -> None:
        """Until a URL of its answers with `status`."""
        deadline = time.monotonic() + seconds
        while status_of(url) != status:
            assert self.process.poll() is None, f"the agent ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"not {status} after {seconds} s:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.2)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running_agent(
    model: Path, orchestrator: str, folder: Path, node: str = "machine", stall_seconds: float = 300.0
) -> Iterator[RunningAgent]:
    """An agent that is starting, and its end."""
    port, generate_port, shards_port = free_port(), free_port(), free_port()
    name = f"test-{generate_port}"
    command = [
        *(sys.executable, "-m", "deepcoder_rollout.agent", "--orchestrator", orchestrator),
        *("--model-dir", str(model), "--host", "127.0.0.1", "--bind", "127.0.0.1", "--port", str(port)),
        *("--generate-port", str(generate_port), "--shards-port", str(shards_port), "--node", node),
        *("--max-model-length", "256", "--precision", "fp32", "--server", name),
        *("--stall-seconds", str(stall_seconds)),
    ]
    described = rollout_process(resolved_run(), Addresses(), host="127.0.0.1")
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **described.environment})
        urls = [f"http://127.0.0.1:{one}" for one in (port, generate_port, shards_port)]
        try:
            yield RunningAgent(name, *urls, process, path)
        finally:
            process.terminate()
            process.wait(timeout=30)


def status_of(url: str) -> int:
    """The status that a GET brings; 0 when nobody answers."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0


async def ask(
    agent: RunningAgent, temperature: float = 1.0, max_tokens: int = 24, seed: int = 7,
    prompt: Sequence[int] = PROMPT, keep_kv_at: int | None = None,
) -> Answer:  # fmt: skip
    """What the trainer's own generator makes of the server's answer.

    keep_kv_at: the version that the server is thought to hold, where it keeps what older weights computed.
    """
    registry = RolloutRegistry(Policy(1, keep_kv_at or 0), time.monotonic)
    beat = Heartbeat(
        server="a", generate_url=agent.generate, agent_url=agent.agent, shards_url=agent.shards, node="machine",
        attempt=1, version=keep_kv_at or 0, ready=True,
    )  # fmt: skip
    registry.heard(beat)
    question = Question("a/0/0", tuple(prompt), max_tokens, temperature, seed)
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        generator = Generator(registry, client, keep_kv=keep_kv_at is not None)
        async with generator.place(1) as place:
            return await generator.ask(question, place)


def answer_of(agent: RunningAgent, temperature: float = 1.0, max_tokens: int = 24, seed: int = 7) -> Answer:
    """As ask, for a thread without an event loop."""
    return asyncio.run(ask(agent, temperature, max_tokens, seed))


def expected_log_probabilities(
    model: Path, answer: Sequence[int], temperature: float, prompt: Sequence[int] = PROMPT
) -> list[float]:
    """What transformers gives for an answer's tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = network(torch.tensor([[*prompt, *answer]])).logits[0].float() / temperature
    rows = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
    return rows.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()
