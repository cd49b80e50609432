"""A run's figures as TensorBoard's event file: a pure function of the report, so that it only grows with each."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from deepcoder_api.artifacts import RunReport, StepFigures
from deepcoder_trainer.run_report.scalars import scalars

VERSION = "brain.Event:2"


def event_file(report: RunReport) -> bytes:
    """The file. Raises ImportError without the extra `tensorboard`."""
    # protobuf makes these modules' names when they are imported
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.record_writer import RecordWriter

    begun = _seconds(report.steps[0]) if report.steps else 0.0
    with tempfile.TemporaryDirectory(prefix="deepcoder-events-") as folder:
        file = Path(folder) / "events"
        writer = RecordWriter(str(file))
        writer.write(Event(wall_time=begun, file_version=VERSION).SerializeToString())
        for figures in report.steps:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(figures)]
            event = Event(wall_time=_seconds(figures), step=figures.step, summary=Summary(value=values))
            writer.write(event.SerializeToString(deterministic=True))
        writer.close()
        return file.read_bytes()


def _seconds(figures: StepFigures) -> float:
    return datetime.fromisoformat(figures.time).timestamp()
