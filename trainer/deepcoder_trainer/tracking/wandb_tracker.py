"""Weights & Biases by its own client. Importing this imports wandb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wandb

from deepcoder_api.artifacts import StepFigures
from deepcoder_api.tracking_spec import WandbSpec
from deepcoder_trainer.run_report.scalars import scalars
from deepcoder_trainer.tracking.tracker import TrackedRun

INIT_SECONDS = 90.0


class WandbTracker:
    """A run in W&B whose id is the run's uid. With WANDB_MODE=offline its file stays in `folder`."""

    def __init__(self, run: TrackedRun, spec: WandbSpec, folder: Path) -> None:
        self._run = run
        self._spec = spec
        self._folder = folder
        self._theirs: wandb.Run | None = None

    def open(self) -> int:
        """See Tracker. An earlier attempt's run goes on; offline nobody knows of one."""
        where: dict[str, Any] = {"base_url": self._spec.url} if self._spec.url else {}
        settings = wandb.Settings(
            **where, init_timeout=INIT_SECONDS, silent=True, console="off",
            # Nothing but figures is sent: no code, no command line, no measurements of the machine.
            disable_git=True, disable_code=True, x_disable_meta=True, x_disable_stats=True,
        )  # fmt: skip
        self._theirs = wandb.init(
            project=self._spec.project, entity=self._spec.entity, id=self._run.uid, name=self._run.title,
            config=self._run.parameters, resume="allow", dir=str(self._folder), settings=settings,
        )  # fmt: skip
        return max(0, self._theirs.step - 1)

    def log(self, figures: StepFigures) -> None:
        """See Tracker."""
        assert self._theirs is not None, "open comes first"
        self._theirs.log(dict(scalars(figures)), step=figures.step)

    def close(self, *, ended: bool) -> None:
        """See Tracker. A run whose attempt failed goes on in the next."""
        if self._theirs is not None:
            self._theirs.finish(exit_code=0 if ended else 1)
