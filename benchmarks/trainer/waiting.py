"""Parts d and f: what share of a step nothing runs in, and what share of it is spent waiting for a checkpoint."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.sandbox.report import rounded
from benchmarks.trainer import our_run, step_log
from benchmarks.trainer.place import Place, grading
from benchmarks.trainer.runs import Shape

STEPS = 16
CHECKPOINT_EVERY = 2
"""So that as many steps follow none: what they wait for too is no checkpoint's."""
MODES = {"sync": 0, "async": 1}


def measure_idle(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """The quickstart, in both modes: the share of a step in which neither generation nor optimisation runs."""
    return summary("idle_share", _measure(place, seeds, steps or STEPS, checkpoint_every=10), step_log.idle_share)


def measure_checkpoints(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """The quickstart with a checkpoint after every second step, in both modes: the share of a step that one takes."""
    measured = _measure(place, seeds, steps or STEPS, CHECKPOINT_EVERY)
    return summary("checkpoint_wait_share", measured, lambda steps: step_log.checkpoint_wait(steps, CHECKPOINT_EVERY))


def _measure(
    place: Place, seeds: Sequence[int], steps: int, checkpoint_every: int
) -> dict[int, dict[str, list[step_log.Step]]]:
    with grading(None, place.say) as sandbox:
        return {
            seed: {
                mode: our_run.train(
                    Shape(
                        f"waiting-{mode}", steps, seed, max_staleness=staleness, checkpoint_every=checkpoint_every
                    ),
                    place.base(seed), place, sandbox,
                ).steps
                for mode, staleness in MODES.items()
            }
            for seed in seeds
        }  # fmt: skip


def summary(key: str, measured: Mapping[int, Mapping[str, Sequence[step_log.Step]]], share: Any) -> dict[str, Any]:
    """The median over seeds of each mode, and the greater of the two under `key`."""
    steady = {
        seed: {mode: step_log.steady(steps, MODES[mode]) for mode, steps in modes.items()}
        for seed, modes in measured.items()
    }
    by_mode = {mode: statistics.median(share(modes[mode]) for modes in steady.values()) for mode in MODES}
    return {
        key: rounded(max(by_mode.values())),
        "by_mode": {mode: rounded(value) for mode, value in by_mode.items()},
        "seeds": [
            {
                "seed": seed,
                **{
                    mode: {
                        key: rounded(share(steps)),
                        "seconds_per_step": rounded(step_log.seconds_per_step(steps)),
                        "shares": {part: rounded(value) for part, value in step_log.shares(steps).items()},
                        "idle_by": {part: rounded(value) for part, value in step_log.idle_shares(steps).items()},
                    }
                    for mode, steps in modes.items()
                },
            }
            for seed, modes in steady.items()
        ],
    }
