"""Part a: seconds until 0.8 of the held-out problems are solved, TRL's GRPOTrainer beside ours."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.sandbox.report import rounded
from benchmarks.trainer import our_run, step_log
from benchmarks.trainer.held_out import held_out
from benchmarks.trainer.place import Place, grading
from benchmarks.trainer.policy_server import PolicyClient, ServerUrls, running_server
from benchmarks.trainer.runs import KEEP_ALL, Shape
from deepcoder_api.processes import trainer_process
from deepcoder_cli.local.addresses import LOOPBACK
from deepcoder_data.folders import download_folder

STEPS = 30
EVERY = 1
THRESHOLD = 0.8
LEARNING_RATE = 1.5e-4
"""With the quickstart's 5e-4 it takes three or four steps, of which the first fills an asynchronous run's pipe."""
TRIED_PER_SEED = 2
"""A base model may have nothing to reach the threshold with: so many are tried for each seed that is asked for."""
STALENESS = 1
TRL_STEP_SECONDS = 600.0
WAYS = ("trl", "ours", "ours_async")


@dataclass(frozen=True)
class Curve:
    """One training of one way: seconds of its clock after each step, seconds by part, and weights of some steps."""

    seconds: Mapping[int, float]
    parts: Mapping[str, float]
    weights: Mapping[int, Path]


def measure(place: Place, count: int, steps: int | None, threshold: float = THRESHOLD) -> dict[str, Any]:
    """Train each way on each seed, then measure what each has kept, until `count` seeds were reached by every way.

    All that were tried are told. Raises what a part of it failed with.
    """
    found: list[dict[str, Any]] = []
    with grading(None, place.say) as sandbox:
        while missing(found, count):
            seed = len(found)
            found.append({"seed": seed, **_seed(place, sandbox, seed, steps or STEPS, threshold)})
    return summary(found, threshold)


def missing(found: Sequence[Mapping[str, Any]], count: int) -> bool:
    """Whether another seed is to be tried: too few were reached by every way, and not all that may be were tried."""
    reached = sum(all(one["seconds_reached"] is not None for one in seed["ways"].values()) for seed in found)
    return reached < count and len(found) < count * TRIED_PER_SEED


def _seed(place: Place, sandbox: str, seed: int, steps: int, threshold: float) -> dict[str, Any]:
    base = place.base(seed)
    rate = {"learningRate": LEARNING_RATE}
    shape = Shape("trl", steps, seed, checkpoint_every=EVERY, keep_last=KEEP_ALL, optimizer=rate)
    ours = {
        name: our_run.train(
            dataclasses.replace(shape, name=name.replace("_", "-"), max_staleness=staleness), base, place, sandbox
        )
        for name, staleness in (("ours", 0), ("ours_async", STALENESS))
    }
    curves = {name: _of_ours(trained, place) for name, trained in ours.items()}
    prepared = our_run.prepare(shape, base, place, sandbox)
    with running_server(prepared.run, prepared.at, prepared.logs) as urls:
        curves["trl"] = _of_trl(prepared, urls, base, sandbox)
        scores = asyncio.run(_scores(curves, prepared, urls, base, sandbox, threshold, place))
    before = scores.pop("base")[0]
    return {"before": before, "ways": {name: way(curves[name], scores[name], threshold) for name in WAYS}}


def _of_ours(trained: our_run.Trained, place: Place) -> Curve:
    steps, store = trained.steps, place.s3.store()
    begun = step_log.begun(steps)
    weights = {}
    for step in steps:
        if step.number % EVERY == 0 or step is steps[-1]:
            folder = trained.prepared.state / "kept" / f"step-{step.number:06d}"
            download_folder(store, trained.checkpoint(step.number), folder)
            weights[step.number] = folder / "model"
    parts = step_log.mean_parts(steps)
    seconds = {step.number: step.done - begun for step in steps}
    idle = statistics.fmean(step.idle for step in steps)
    return Curve(
        seconds, {**parts, "rest": max(seconds.values()) / len(steps) - sum(parts.values()), "idle": idle}, weights
    )


def _of_trl(prepared: our_run.Prepared, urls: ServerUrls, base: Path, sandbox: str) -> Curve:
    """TRL in a process of its own, with the threads that our ranks have. Raises CalledProcessError, TimeoutExpired."""
    folder = prepared.state / "kept"
    folder.mkdir()
    like = trainer_process(
        prepared.run, prepared.at, attempt=1, dataset=prepared.dataset, replica_index="0",
        master_address=LOOPBACK, host=LOOPBACK,
    )  # fmt: skip
    command = [
        *(sys.executable, "-m", "benchmarks.trainer.trl_run", "--run", prepared.at.config_path),
        *("--model", prepared.at.model_directory, "--problems", str(base / "training.jsonl")),
        *("--agent", urls.agent, "--generate", urls.generate, "--sandbox", sandbox),
        *("--to", str(folder), "--every", str(EVERY)),
    ]
    with (prepared.logs / "trl.log").open("wb") as log:
        subprocess.run(
            command, check=True, timeout=TRL_STEP_SECONDS * prepared.run.total_steps, cwd=ROOT, stderr=log,
            env={**os.environ, **like.environment, "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"},
        )  # fmt: skip
    steps = json.loads((folder / "steps.json").read_text())
    weights = {int(found.name.removeprefix("step-")): found for found in sorted(folder.glob("step-*"))}
    return Curve({step["step"]: step["seconds"] for step in steps}, trl_parts(steps), weights)


async def _scores(
    curves: Mapping[str, Curve], prepared: our_run.Prepared, urls: ServerUrls, base: Path, sandbox: str,
    threshold: float, place: Place,
) -> dict[str, dict[int, float]]:  # fmt: skip
    """pass@1 by way and step, up to the first step that reaches the threshold; and of the base model."""
    found: dict[str, dict[int, float]] = {}
    problems = held_out(base, prepared.run, Path(prepared.at.model_directory))
    async with PolicyClient(urls, prepared.state / "measured", attempt=2) as client:
        found["base"] = {0: await problems.pass_at_1(client, sandbox, base / "model")}
        for name, curve in curves.items():
            scores = found[name] = {}
            for step, weights in sorted(curve.weights.items()):
                scores[step] = await problems.pass_at_1(client, sandbox, weights)
                place.say(f"{name}: step {step}, {curve.seconds[step]:.0f} s, held-out pass@1 {scores[step]:.3f}")
                if scores[step] >= threshold:
                    break
    shutil.rmtree(prepared.state / "measured", ignore_errors=True)
    return found


def trl_parts(steps: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean seconds of a step by part, from the nested times of trl_run.

    `score` is what TRL does between the grades and the loss: padding and the log-probabilities before the update.
    """
    sums = {name: sum(step["parts"].get(name, 0.0) for step in steps) for step in steps for name in step["parts"]}
    count, inner = len(steps), ("sync_weights", "sample", "grade")
    parts = {name: sums.get(name, 0.0) / count for name in inner}
    sampling, training = (sums.get(name, 0.0) / count for name in ("all_of_sampling", "all_of_training_step"))
    parts |= {"score": sampling - sum(parts.values()), "forward_backward": training - sampling}
    return {**parts, "rest": steps[-1]["seconds"] / count - training}


def way(curve: Curve, scores: Mapping[int, float], threshold: float) -> dict[str, Any]:
    """The figures of one training."""
    reached = next((step for step, score in sorted(scores.items()) if score >= threshold), None)
    last = max(curve.seconds)
    return {
        "step_reached": reached,
        "seconds_reached": None if reached is None else rounded(curve.seconds[reached]),
        "seconds_per_step": rounded(curve.seconds[last] / last),
        "seconds_by_part": {name: rounded(value) for name, value in curve.parts.items()},
        "curve": [[step, rounded(curve.seconds[step]), score] for step, score in sorted(scores.items())],
    }


def summary(seeds: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, Any]:
    """Medians over the seeds of TRL's seconds over ours; None where no seed has both."""

    def over(peer: str, figure: str) -> float | None:
        both = [(seed["ways"]["trl"][figure], seed["ways"][peer][figure]) for seed in seeds]
        ratios = [theirs / ours for theirs, ours in both if theirs is not None and ours is not None]
        return rounded(statistics.median(ratios)) if ratios else None

    return {
        "seconds_to_080_trl_over_ours": over("ours", "seconds_reached"),
        "seconds_to_080_trl_over_ours_async": over("ours_async", "seconds_reached"),
        "seconds_per_step_trl_over_ours": over("ours", "seconds_per_step"),
        "seconds_per_step_trl_over_ours_async": over("ours_async", "seconds_per_step"),
        "threshold": threshold,
        "seeds": list(seeds),
    }
