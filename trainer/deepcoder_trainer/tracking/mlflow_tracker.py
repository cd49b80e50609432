"""An MLflow tracking server by MLflow's own client. Importing this imports mlflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException

from deepcoder_api.artifacts import StepFigures
from deepcoder_trainer.run_report.scalars import scalars
from deepcoder_trainer.tracking.tracker import TrackedRun

UID = "deepcoder.uid"
LAST_STEP = "deepcoder.step"
"""A metric that is logged last of a step's, so that a step which has it is whole."""
LONGEST_PARAMETER = 500


class MlflowTracker:
    """A run on the server, found again by its tag `deepcoder.uid`."""

    def __init__(self, run: TrackedRun, uri: str, experiment: str) -> None:
        self._run = run
        self._experiment = experiment
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._id = ""

    def open(self) -> int:
        """See Tracker."""
        experiment = self._experiment_id()
        found = self._client.search_runs([experiment], f"tags.`{UID}` = '{self._run.uid}'", max_results=1)
        if found:
            self._id = str(found[0].info.run_id)
            self._client.set_terminated(self._id, "RUNNING")
            return self._last_step(found[0])
        created = self._client.create_run(experiment, run_name=self._run.title, tags={UID: self._run.uid})
        self._id = str(created.info.run_id)
        parameters = [Param(key, value[:LONGEST_PARAMETER]) for key, value in flat(self._run.parameters)]
        self._client.log_batch(self._id, params=parameters)
        return 0

    def log(self, figures: StepFigures) -> None:
        """See Tracker."""
        time = int(datetime.fromisoformat(figures.time).timestamp() * 1000)
        values = (*scalars(figures), (LAST_STEP, float(figures.step)))
        self._client.log_batch(self._id, metrics=[Metric(key, value, time, figures.step) for key, value in values])

    def close(self, *, ended: bool) -> None:
        """See Tracker."""
        if self._id:
            self._client.set_terminated(self._id, "FINISHED" if ended else "FAILED")

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            try:
                return self._client.create_experiment(self._experiment)
            except MlflowException:
                # Another run may have made it meanwhile.
                found = self._client.get_experiment_by_name(self._experiment)
                if found is None:
                    raise
        return str(found.experiment_id)

    @staticmethod
    def _last_step(run: Run) -> int:
        return int(run.data.metrics.get(LAST_STEP, 0))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested values, named by their path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
