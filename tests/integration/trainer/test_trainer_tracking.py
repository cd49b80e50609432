"""Trackers with the tools' own clients: W&B offline, MLflow's store of files, and a server that is away."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from deepcoder_trainer.tracking.links import TrackerLinks
from deepcoder_trainer.tracking.mlflow_tracker import MlflowTracker
from deepcoder_trainer.tracking.tracker import tracked, trackings
from tests.resolved_runs import resolved_run
from tests.rollout_servers import free_port
from tests.run_figures import step_figures
from tests.wandb_file import history

CLOSE_SECONDS = 150.0  # wandb's and mlflow's imports take long where much else runs


async def test_wandb_gets_every_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a process of its own, which ends; its file is what W&B's own program would send."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    links = TrackerLinks(trackings(resolved_run(tracking={"wandb": {"project": "coder"}})), CLOSE_SECONDS)
    await links.open([step_figures(1, reward=0.25)])
    links.add(step_figures(2, reward=0.75))
    await links.close(ended=True)
    rows = history(tmp_path)
    assert [(row["_step"], row["answers/reward"]) for row in rows] == [(1, 0.25), (2, 0.75)]
    assert rows[0]["training/entropy"] == 0.4


def test_mlflow_goes_on_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later attempt finds it by its uid and the steps that it has; parameters are written once."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run = tracked(resolved_run())
    first, second = (MlflowTracker(run, str(tmp_path / "store"), "coder") for _ in range(2))
    assert first.open() == 0
    for step in (1, 2):
        first.log(step_figures(step, reward=step / 4))
    first.close(ended=False)
    assert second.open() == 2
    second.log(step_figures(3, reward=0.75))
    second.close(ended=True)
    client = MlflowClient(str(tmp_path / "store"), str(tmp_path / "store"))
    experiment = client.get_experiment_by_name("coder")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("default/tiny", "FINISHED")
    assert found.data.params["algorithm.samples_per_prompt"] == "2"
    rewards = client.get_metric_history(found.info.run_id, "answers/reward")
    assert [(metric.step, metric.value) for metric in rewards] == [(1, 0.25), (2, 0.5), (3, 0.75)]


async def test_a_server_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are added at once, and the end comes after the seconds that it may take; the process is gone."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "100")
    url = f"http://127.0.0.1:{free_port()}"
    links = TrackerLinks(trackings(resolved_run(tracking={"mlflow": {"url": url, "experiment": "coder"}})), 1.0)
    await links.open([])
    (process,) = links._processes  # pyright: ignore[reportPrivateUsage]
    started = time.monotonic()
    for step in range(1, 1001):
        links.add(step_figures(step))
    assert time.monotonic() - started < 5
    await links.close(ended=True)
    assert time.monotonic() - started < 20
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
