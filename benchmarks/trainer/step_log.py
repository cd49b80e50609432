"""What the trainer's log says of its steps: when each was done, its seconds by part, its figures. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PARTS = ("sample", "journal", "train", "publish", "wait_for_checkpoint")


@dataclass(frozen=True)
class Step:
    """One step. `done` is seconds of the epoch; `parts` are seconds, and so are `idle` and `optimising`.

    `idle`: neither an answer was being generated nor the ranks trained; `idle_by`: the same by what was waited for.
    `optimising`: the ranks' own count of the training, which is less than the part `train` by what the command waits
    for. `signal`: the share of the groups trained on whose answers differ in what they earned.
    """

    number: int
    done: float
    parts: Mapping[str, float]
    optimising: float
    idle: float
    answer_tokens: int
    reward: float
    truncated: float
    signal: float
    idle_by: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def before_training(self) -> float:
        """Seconds of the part `train` in which the ranks did not train: the batch is written, a command waits."""
        return self.parts.get("train", 0.0) - self.optimising


def events(log: str) -> list[dict[str, Any]]:
    """The JSON lines among whatever else was written."""
    found = []
    for line in log.splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:  # a line that is being written
                continue
    return found


def steps_of(log: str) -> list[Step]:
    """The steps that are done, in order."""
    return [_step(event) for event in events(log) if event.get("event") == "step done"]


def begun(steps: Sequence[Step]) -> float:
    """When sampling for the first step began, in seconds of the epoch."""
    return steps[0].done - sum(steps[0].parts.values())


def seconds_per_step(steps: Sequence[Step]) -> float:
    """From the first of these to the last: the mean."""
    if len(steps) < 2:
        raise ValueError(f"{len(steps)} steps; between at least two of them lies a duration")
    return (steps[-1].done - steps[0].done) / (len(steps) - 1)


def steady(steps: Sequence[Step], max_staleness: int) -> list[Step]:
    """Without the first step and the `max_staleness` ones whose answers began with its, and as many last ones.

    In the first the pipe fills, and those that follow it find their answers there; for the last it empties.
    """
    return list(steps[1 + max_staleness : len(steps) - max_staleness])


def idle_share(steps: Sequence[Step]) -> float:
    """Idle seconds over all seconds, from the first of these steps' end to the last's."""
    return sum(step.idle for step in steps[1:]) / (steps[-1].done - steps[0].done)


def idle_shares(steps: Sequence[Step]) -> dict[str, float]:
    """The same by what was waited for, the most first."""
    seconds = steps[-1].done - steps[0].done
    names = {name for step in steps[1:] for name in step.idle_by}
    found = {name: sum(step.idle_by.get(name, 0.0) for step in steps[1:]) / seconds for name in names}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def checkpoint_wait(steps: Sequence[Step], every: int) -> float:
    """Seconds that a checkpoint has steps wait, over those of a step; the first is only where the others begin.

    They wait for the checkpoint before to be uploaded, and for the ranks to have saved before they train: the latter is
    what the step after a checkpoint trains later than others do in the mean. With a checkpoint in every step there are
    no others, and all that lies between the command and its training counts.
    """
    after = [step.before_training for step in steps[1:] if (step.number - 1) % every == 0]
    others = [step.before_training for step in steps[1:] if (step.number - 1) % every]
    uploads = [step.parts.get("wait_for_checkpoint", 0.0) for step in steps[1:] if step.number % every == 0]
    late = statistics.fmean(after) - (statistics.fmean(others) if others else 0.0)
    return (max(0.0, late) + statistics.fmean(uploads)) / seconds_per_step(steps)


def shares(steps: Sequence[Step]) -> dict[str, float]:
    """Each part's share of the seconds, and `other` for what no part counts."""
    seconds = steps[-1].done - steps[0].done
    found = {part: sum(step.parts.get(part, 0.0) for step in steps[1:]) / seconds for part in PARTS}
    return {**found, "other": 1.0 - sum(found.values())}


def mean_parts(steps: Iterable[Step]) -> dict[str, float]:
    """Mean seconds of a step by part."""
    all_steps = list(steps)
    return {part: statistics.fmean(step.parts.get(part, 0.0) for step in all_steps) for part in PARTS}


def _step(event: Mapping[str, Any]) -> Step:
    return Step(
        number=event["step"],
        done=datetime.fromisoformat(event["timestamp"]).timestamp(),
        parts={part: event[part] for part in PARTS if part in event},
        optimising=event.get("seconds", 0.0),
        idle=event["idle"],
        answer_tokens=event["answer_tokens"],
        reward=event["reward"],
        truncated=event["truncated"],
        signal=event["group_signal_fraction"],
        idle_by=event["idle_by"],
    )
