"""What the orchestrator and a rollout agent say to each other. No I/O.

Beside each vLLM server runs our agent. The agent registers with the orchestrator and heartbeats:
    POST <orchestrator>/v1/rollouts            body Heartbeat, answer HeartbeatReply
The orchestrator orders weights from the agent, which fetches while generation goes on and pauses vLLM only to load:
    POST <agent>/v1/weights                    body WeightOrder, answer WeightReceipt; 409 older attempt or version
    GET  <agent>/readyz                        200 once vLLM answers and the newest ordered version is loaded
Weights are served by the trainer:
    GET  <orchestrator>/v1/weights/{version}/{file}
Answers are sampled from vLLM itself (<generate_url>/v1/completions with token ids in and out, see trainer).
"""

from __future__ import annotations

from pydantic import Field

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.problems import Strict


class Heartbeat(Strict):
    """An agent's word that its server lives. `version` is the policy version loaded, 0 for the base model."""

    server: str = Field(description="Stable id of this server: pod name, or a local name.")
    generate_url: str
    agent_url: str
    attempt: int = Field(ge=0, description="Attempt whose weights are loaded; 0 before the first order.")
    version: int = Field(ge=0)
    ready: bool


class HeartbeatReply(Strict):
    """The orchestrator's word: what the server should hold."""

    attempt: int
    version: int
    seconds_to_next: float = 2.0


class WeightOrder(Strict):
    """Load this version. Files are fetched from `base_url`/{path} and checked against size and sha256."""

    attempt: int = Field(ge=1)
    version: int = Field(ge=0)
    base_url: str
    files: tuple[FileDigest, ...]
    clear_cache: bool = True
    deadline_seconds: float = Field(gt=0)


class WeightReceipt(Strict):
    """What loading cost."""

    attempt: int
    version: int
    bytes: int
    fetch_seconds: float
    pause_seconds: float
