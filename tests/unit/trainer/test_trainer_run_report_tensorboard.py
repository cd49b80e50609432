"""A run's event file, read back by TensorBoard itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deepcoder_trainer.run_report.tensorboard import event_file
from tests.run_figures import run_report, step_figures


def read(content: bytes, folder: Path) -> EventAccumulator:
    """What TensorBoard makes of a file."""
    (folder / "events.out.tfevents.0.01234567").write_bytes(content)
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def test_tensorboard_reads_every_step(tmp_path: Path) -> None:
    """Each scalar by its tag, at its step and its time."""
    steps = [step_figures(1, reward=0.25), step_figures(2, reward=0.75, training={"loss": -0.5})]
    found = read(event_file(run_report(*steps)), tmp_path)
    assert [(event.step, event.value) for event in found.Scalars("answers/reward")] == [(1, 0.25), (2, 0.75)]
    assert found.Scalars("answers/reward")[0].wall_time == datetime(2026, 11, 26, 5, tzinfo=UTC).timestamp()
    assert [(event.step, event.value) for event in found.Scalars("training/loss")] == [(2, -0.5)]
    assert [event.value for event in found.Scalars("training/entropy")] == pytest.approx([0.4])
    assert {"length/mean", "seconds/train", "verdicts/accepted"} <= set(found.Tags()["scalars"])


def test_file_only_grows(tmp_path: Path) -> None:
    """A later report's file begins with the earlier one's, so what follows it is not confused."""
    steps = [step_figures(step) for step in (1, 2, 3)]
    earlier, later = event_file(run_report(*steps[:2])), event_file(run_report(*steps))
    assert later.startswith(earlier)
    assert len(later) > len(earlier)


def test_a_run_without_a_step_is_an_empty_file_that_is_read(tmp_path: Path) -> None:
    """It has its version alone."""
    assert read(event_file(run_report()), tmp_path).Tags()["scalars"] == []
