"""What a tracker is told of a run, and what it is asked. No I/O."""

from __future__ import annotations

from typing import Any, Protocol

from deepcoder_api.artifacts import StepFigures
from deepcoder_api.problems import Strict
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.tracking_spec import MlflowSpec, WandbSpec

ENDED = "ended"
"""The line that says to a tracker's process that the run has trained its last step."""


class TrackedRun(Strict):
    """A run as a tracker knows it. `parameters` are what it was resolved to; no secret is among them."""

    namespace: str
    name: str
    uid: str
    parameters: dict[str, Any]

    @property
    def title(self) -> str:
        """What people see."""
        return f"{self.namespace}/{self.name}"


class Tracking(Strict):
    """What a tracker's process is started with: the run, and exactly one of the tools."""

    run: TrackedRun
    wandb: WandbSpec | None = None
    mlflow: MlflowSpec | None = None


class Tracker(Protocol):
    """One tool's run. Every call may block, and raise whatever the tool's client raises."""

    def open(self) -> int:
        """Begin the run there, or go on with it; the last step whose figures it has, 0 when it has none."""
        ...

    def log(self, figures: StepFigures) -> None:
        """Hand a step's figures over. Steps come in order, each once."""
        ...

    def close(self, *, ended: bool) -> None:
        """Hand over what is left. ended: the run has trained its last step."""
        ...


def tracked(run: ResolvedRun) -> TrackedRun:
    """The run with its main values."""
    spec = run.spec
    return TrackedRun(
        namespace=run.namespace,
        name=run.name,
        uid=run.uid,
        parameters={
            "model": spec.model.uri,
            "steps": run.total_steps,
            "algorithm": run.algorithm.model_dump(mode="json"),
            "optimizer": spec.optimizer.model_dump(mode="json"),
            "stages": [stage.model_dump(mode="json", exclude_none=True) for stage in spec.stages],
            "sources": [source.name for source in spec.data.sources],
        },
    )


def trackings(run: ResolvedRun) -> list[Tracking]:
    """What the run asks for."""
    asked, own = run.spec.tracking, tracked(run)
    found = [Tracking(run=own, wandb=asked.wandb)] if asked.wandb else []
    return [*found, Tracking(run=own, mlflow=asked.mlflow)] if asked.mlflow else found
