"""Part g: tokens generated for each group that teaches something, by difficulty filter and by dynamic sampling.

A group is useful when its answers differ in what they earned: only then has it an advantage.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sandbox.report import rounded
from benchmarks.trainer import our_run, step_log
from benchmarks.trainer.place import Place, grading
from benchmarks.trainer.runs import Shape

STEPS = 24
DIFFICULTY = {"samplesPerPrompt": 8, "keepAbove": 0, "keepBelow": 1}
"""Drops what no answer of the base model solves, and what every answer does: as many answers as a group has."""
DYNAMIC_SAMPLING = {"maxDrawsPerPrompt": 10}
"""As preset dapo has it."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "filter": {"data": {"difficulty": DIFFICULTY}},
    "dynamic": {"algorithm": {"dynamicSampling": DYNAMIC_SAMPLING}},
}


@dataclass(frozen=True)
class Taken:
    """What one run took: tokens by when they were generated, its useful groups, and all groups it trained on."""

    generated: our_run.Generated
    useful: float
    groups: int
    seconds_per_step: float

    @property
    def tokens(self) -> int:
        """All generated tokens."""
        return self.generated.rating + self.generated.training


def measure(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """Each way on each seed, all on the quickstart's problems. Raises what a run failed with."""
    with grading(None, place.say) as sandbox:
        found = {
            seed: {name: _way(place, sandbox, seed, steps or STEPS, name, changes) for name, changes in WAYS.items()}
            for seed in seeds
        }
    return summary(found)


def _way(place: Place, sandbox: str, seed: int, steps: int, name: str, changes: Mapping[str, Any]) -> Taken:
    shape = Shape(f"useful-{name}", steps, seed, checkpoint_every=steps, **changes)
    trained = our_run.train(shape, place.base(seed), place, sandbox)
    return taken(trained.steps, trained.generated, trained.prepared.run.algorithm.prompts_per_step)


def taken(steps: Sequence[step_log.Step], generated: our_run.Generated, prompts_per_step: int) -> Taken:
    """What a run took, from what its log says of its steps."""
    return Taken(
        generated=generated,
        useful=sum(step.signal * prompts_per_step for step in steps),
        groups=len(steps) * prompts_per_step,
        seconds_per_step=step_log.seconds_per_step(steps),
    )


def summary(seeds: Mapping[int, Mapping[str, Taken]]) -> dict[str, Any]:
    """Medians over the seeds; above 1 the filter takes more tokens for a useful group than dynamic sampling."""
    found = [{"seed": seed, **figures(ways)} for seed, ways in seeds.items()]
    keys = ("filter_over_dynamic_tokens", "filter_training_over_dynamic_tokens")
    return {**{key: rounded(statistics.median(seed[key] for seed in found)) for key in keys}, "seeds": found}


def figures(ways: Mapping[str, Taken]) -> dict[str, Any]:
    """The figures of one seed.

    The filter's rating is paid once, however long the run: `filter_pays_after` is the number of useful groups from
    which on it takes fewer tokens, None where its training alone takes as many as dynamic sampling. Raises ValueError
    when a run has no useful group.
    """
    none = [name for name, one in ways.items() if not one.useful]
    if none:
        raise ValueError(f"{', '.join(none)}: no group of the run is useful; take more steps")
    filtered, dynamic = ways["filter"], ways["dynamic"]
    training, replaced = filtered.generated.training / filtered.useful, dynamic.tokens / dynamic.useful
    saved = replaced - training
    return {
        "filter_over_dynamic_tokens": rounded(filtered.tokens / filtered.useful / replaced),
        "filter_training_over_dynamic_tokens": rounded(training / replaced),
        "filter_pays_after": round(filtered.generated.rating / saved) if saved > 0 else None,
        "ways": {name: _shown(one) for name, one in ways.items()},
    }


def _shown(one: Taken) -> dict[str, Any]:
    return {
        "tokens_per_useful_group": rounded(one.tokens / one.useful),
        "rating_tokens": one.generated.rating,
        "training_tokens": one.generated.training,
        "useful_groups": round(one.useful),
        "useful_share": rounded(one.useful / one.groups),
        "seconds_per_step": rounded(one.seconds_per_step),
    }
