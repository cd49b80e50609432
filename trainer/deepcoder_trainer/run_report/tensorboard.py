"""A run's figures as TensorBoard's event file: a pure function of the report, so that it only grows with each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from deepcoder_api.artifacts import RunReport, StepFigures

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


def scalars(figures: StepFigures) -> Iterator[tuple[str, float]]:
    """Tag and value of all that a step came to; tags of one kind share a prefix, and so a section."""
    yield "answers/reward", figures.reward
    yield "answers/truncated", figures.truncated
    yield "answers/groups_without_signal", float(figures.groups_without_signal)
    yield "length/mean", figures.answer_tokens / figures.answers
    yield "length/median", figures.median_answer
    yield "length/shortest", float(figures.shortest_answer)
    yield "length/longest", float(figures.longest_answer)
    for prefix, values in (("training", figures.training), ("seconds", figures.seconds)):
        for name in sorted(values):
            yield f"{prefix}/{name}", values[name]
    for verdict in sorted(figures.verdicts):
        yield f"verdicts/{verdict}", figures.verdicts[verdict] / figures.answers


def _seconds(figures: StepFigures) -> float:
    return datetime.fromisoformat(figures.time).timestamp()
