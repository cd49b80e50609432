"""Parts g and h: tokens generated for each group that teaches something, by filter and by dynamic sampling.

A group is useful when its answers differ in what they earned: only then has it an advantage. Part h is part g with
every second problem hopeless, as many of a raw collection are for a model that it was not chosen for.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sandbox.report import rounded
from benchmarks.trainer import our_run, step_log
from benchmarks.trainer.place import Place, grading
from benchmarks.trainer.runs import Shape
from deepcoder_data.dataset import read_report

STEPS, HOPELESS_STEPS = 24, 12
"""Of half the problems fewer steps, or the filter's run would meet its own again and again."""
HOPELESS_OUTPUT = "no answer prints this\n"
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
    """What one run took: tokens by when they were generated, its useful groups, and all groups it trained on.

    `problems` are those of its dataset, `dropped` what preparation left out, by reason.
    """

    generated: our_run.Generated
    useful: float
    groups: int
    seconds_per_step: float
    problems: int
    dropped: Mapping[str, int]

    @property
    def tokens(self) -> int:
        """All generated tokens."""
        return self.generated.rating + self.generated.training


def measure(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """Each way on each seed, all on the quickstart's problems. Raises what a run failed with."""
    return summary(_by_seed(place, seeds, steps or STEPS, "useful", place.base, {}))


def measure_hopeless(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """The same with every second problem hopeless; its keys begin with `hopeless_`. Raises what a run failed with."""

    def base(seed: int) -> Path:
        return half_hopeless(place.base(seed), place.folder / f"half-hopeless-{seed}")

    unverified = {"verifySolutions": "Never"}
    found = summary(_by_seed(place, seeds, steps or HOPELESS_STEPS, "hopeless", base, unverified))
    return {key if key == "seeds" else f"hopeless_{key}": value for key, value in found.items()}


def half_hopeless(base: Path, folder: Path) -> Path:
    """A base model's folder anew, every second of its problems with tests that no answer passes."""
    if not folder.exists():
        folder.mkdir(parents=True)
        os.symlink(base / "model", folder / "model")
        problems = [json.loads(line) for line in (base / "training.jsonl").read_text().splitlines()]
        for problem in problems[1::2]:
            problem["tests"] = [{**test, "output": HOPELESS_OUTPUT} for test in problem["tests"]]
        (folder / "training.jsonl").write_text("".join(f"{json.dumps(problem)}\n" for problem in problems))
    return folder


def _by_seed(
    place: Place, seeds: Sequence[int], steps: int, name: str, base: Callable[[int], Path], data: Mapping[str, Any]
) -> dict[int, dict[str, Taken]]:
    def way(sandbox: str, seed: int, by: str) -> Taken:
        changes = WAYS[by]
        shape = Shape(
            f"{name}-{by}", steps, seed, checkpoint_every=steps,
            **{**changes, "data": {**data, **changes.get("data", {})}},
        )  # fmt: skip
        trained = our_run.train(shape, base(seed), place, sandbox)
        report = read_report(place.s3.store(), trained.prepared.dataset)
        assert report is not None
        prompts = trained.prepared.run.algorithm.prompts_per_step
        return taken(trained.steps, trained.generated, prompts, report.problems, report.dropped)

    with grading(None, place.say) as sandbox:
        return {seed: {by: way(sandbox, seed, by) for by in WAYS} for seed in seeds}


def taken(
    steps: Sequence[step_log.Step],
    generated: our_run.Generated,
    prompts_per_step: int,
    problems: int,
    dropped: Mapping[str, int],
) -> Taken:
    """What a run took, from what its log says of its steps."""
    return Taken(
        generated=generated,
        useful=sum(step.signal * prompts_per_step for step in steps),
        groups=len(steps) * prompts_per_step,
        seconds_per_step=step_log.seconds_per_step(steps),
        problems=problems,
        dropped=dropped,
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
        "problems": one.problems,
        "dropped": dict(one.dropped),
    }
