"""What the orchestrator tells the ranks: an ordered log of commands that every rank carries out in the same order.

GET  <orchestrator>/v1/ranks/commands/{index}?rank=R&attempt=A   long poll (up to 30 s): Command, or 204 to ask again
GET  <orchestrator>/v1/ranks/batches/{step}                      a batch file (batch.py), the same bytes for all ranks
POST <orchestrator>/v1/ranks/results/{index}                     body CommandResult, by rank 0 once all ranks are done
POST <orchestrator>/v1/ranks/shards?attempt=A                    body RankShards, by every rank that has published
POST <orchestrator>/v1/ranks/failures                            body RankFailure, by a rank that cannot go on
Shared folders are of the trainer pod that rank 0 and the orchestrator live in; weights each rank publishes in its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.problems import Strict


class Load(Strict):
    """Build the engine from the model in `model_dir`; with `checkpoint_dir`, take up its weights and state."""

    kind: Literal["load"] = "load"
    model_dir: str
    checkpoint_dir: str | None = None


class Train(Strict):
    """One step: all its optimizer steps on the batch. `learning_rate` is the schedule's value for this step.

    With `reset_optimizer` Adam's moments and step count are zero before it.
    """

    kind: Literal["train"] = "train"
    step: int
    learning_rate: float
    tokens_per_microbatch: int
    reset_optimizer: bool = False


class Publish(Strict):
    """Each rank writes its shards of the weights (Hugging Face names) where its pod serves them, and tells of them.

    Versions that are in neither `version` nor `keep` are removed first.
    """

    kind: Literal["publish"] = "publish"
    version: int
    keep: tuple[int, ...] = ()


class Save(Strict):
    """Write `directory`/model (Hugging Face layout, loads as it is) and `directory`/state (optimizer, RNG)."""

    kind: Literal["save"] = "save"
    step: int
    directory: str


class Stop(Strict):
    """Leave in good order, exit code 0."""

    kind: Literal["stop"] = "stop"


Command = Annotated[Load | Train | Publish | Save | Stop, Field(discriminator="kind")]


class CommandResult(Strict):
    """What a command came to, with its numbers (loss, gradient_norm, clip_fraction_low, clip_fraction_high,
    sampler_kl, entropy, seconds ...)."""

    metrics: dict[str, float] = Field(default_factory=dict)


class RankShards(Strict):
    """What one of `ranks` ranks has published of a version: its shards, and where they are served."""

    version: int
    rank: int = Field(ge=0)
    ranks: int = Field(ge=1)
    url: str
    files: tuple[FileDigest, ...]


class RankFailure(Strict):
    """A rank's last word. `permanent` when another attempt would fail the same way."""

    rank: int
    cause: str
    permanent: bool = False
