"""What the orchestrator and a rollout agent say to each other, and where shards of weights are had. No I/O.

Beside each vLLM server runs our agent. The agent registers with the orchestrator and heartbeats:
    POST <orchestrator>/v1/rollouts            body Heartbeat, answer HeartbeatReply
The orchestrator orders weights from the agent, which fetches while generation goes on and pauses vLLM only to load:
    POST <agent>/v1/weights                    body WeightOrder, answer WeightReceipt; 409 older attempt or version
    GET  <agent>/readyz                        200 once vLLM answers and the newest ordered version is loaded
A version's shards are served by the trainer nodes that made them, and by every agent that has fetched them whole:
    GET  <shards>/v1/weights/{attempt}/{version}/{file}
         200 the file; 503 not here yet, ask again; 404 not here and not to come
Answers are sampled from vLLM itself (<generate_url>/v1/completions with token ids in and out, see trainer).
"""

from __future__ import annotations

from pydantic import Field

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.problems import Strict

SHARD_ROUTE = "/v1/weights/{attempt}/{version}/{file}"


def shard_url(base: str, attempt: int, version: int, file: str) -> str:
    """Where the shard `file` of a version is had from whoever serves shards at `base`."""
    return base + SHARD_ROUTE.format(attempt=attempt, version=version, file=file)


class Heartbeat(Strict):
    """An agent's word that its server lives. `version` is the policy version loaded, 0 for the base model."""

    server: str = Field(description="Stable id of this server: pod name, or a local name.")
    generate_url: str
    agent_url: str
    shards_url: str = Field(description="Where this agent serves the shards that it has.")
    node: str = Field(description="The machine it runs on: shards pass between machines once.")
    attempt: int = Field(ge=0, description="Attempt whose weights are loaded; 0 before the first order.")
    version: int = Field(ge=0)
    ready: bool


class HeartbeatReply(Strict):
    """The orchestrator's word: what the server should hold."""

    attempt: int
    version: int
    seconds_to_next: float = 2.0


class Shard(FileDigest):
    """One file of a version, and who has it. `peers` are asked in their order, `trainer` when none of them helps."""

    trainer: str = Field(description="The trainer node that made the shard and serves it.")
    peers: tuple[str, ...] = Field(default=(), description="Agents that have the shard, or have it before this one.")


class WeightOrder(Strict):
    """Load this version. Every shard is checked against size and sha256, whoever it is had from.

    clear_cache: what was computed under older weights, of answers under way too, is computed again.
    """

    attempt: int = Field(ge=1)
    version: int = Field(ge=0)
    shards: tuple[Shard, ...]
    clear_cache: bool = True
    deadline_seconds: float = Field(gt=0)


class WeightReceipt(Strict):
    """What a take-over cost."""

    attempt: int
    version: int
    bytes: int
    trainer_bytes: int = Field(description="Bytes fetched from trainer nodes.")
    peer_bytes: int = Field(description="Bytes fetched from other agents.")
    failures: dict[str, int] = Field(
        default_factory=dict,
        description="Sources that did not give a shard, by reason (unreachable, silent, gone, late, damaged); "
        "another one, or the same one later, gave it.",
    )
    fetch_seconds: float
    pause_seconds: float
