"""Part b: steps per second of an asynchronous run over what its slowest part allows, and over a synchronous run's."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sandbox.report import percentile, rounded
from benchmarks.trainer import our_run, parts_alone, step_log
from benchmarks.trainer.cores import Cores, pinned
from benchmarks.trainer.held_out import read_problems
from benchmarks.trainer.place import Place, grading
from benchmarks.trainer.policy_server import PolicyClient, ServerUrls, running_server
from benchmarks.trainer.runs import Shape
from deepcoder_api.problems import Problem
from deepcoder_trainer.orchestrator.generation import Answer

STEPS = 24
STALENESS = 2
ALONE_STEPS = 8
"""Steps' worth of answers that are generated and graded alone, beside those that fill and empty the pipe."""
ALGORITHM = {"promptsPerStep": 8, "samplesPerPrompt": 8}
MAX_RESPONSE_TOKENS = 512
MODES: Mapping[str, tuple[int, dict[str, Any]]] = {
    "sync": (0, {}), "async": (STALENESS, {}), "async_keep_kv": (STALENESS, {"keepKv": True}),
}  # fmt: skip
"""Staleness, and what the rollout servers have of their own."""
LEARNING_RATE = 1e-6
"""So small that answers stay as long and as hard as they are: what is measured is time."""


@dataclass(frozen=True)
class Alone:
    """What the parts do when each has its core to itself: tokens generated a second, and seconds to grade a step."""

    tokens_per_second: float
    grading_seconds: float


def measure(place: Place, seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """All modes and each part alone, on each seed. Raises ValueError with one core, or what a part failed with."""
    cores = Cores.first_two()
    with grading(cores.training, place.say) as sandbox:
        return summary([_seed(place, sandbox, seed, steps or STEPS, cores) for seed in seeds])


def _seed(place: Place, sandbox: str, seed: int, steps: int, cores: Cores) -> dict[str, Any]:
    base = place.long_tailed(seed)
    prepared = our_run.prepare(_shape("async", seed, steps, cores), base, place, sandbox)
    prompts, room = prepared.run.algorithm.prompts_per_step, parts_alone.under_way(prepared.run)
    groups = 2 * room + min(ALONE_STEPS, steps) * prompts
    problems = {problem.id: problem for problem in read_problems(base / "training.jsonl")}
    trained: dict[str, our_run.Trained] = {}
    finished: list[parts_alone.Finished] = []
    alone: list[Alone] = []

    def measure_alone(urls: ServerUrls) -> None:
        place.say(f"alone: {groups} groups")
        with pinned(cores.training):
            finished[:] = asyncio.run(_generate(prepared, urls, problems, groups, attempt=len(alone) + 1))
            seconds = asyncio.run(parts_alone.grade(sandbox, prepared.run, problems, finished))
        alone.append(Alone(parts_alone.tokens_per_second(finished, room), seconds * prompts / len(finished)))

    # The server of what is measured alone does nothing while a run is measured.
    with running_server(prepared.run, prepared.at, prepared.logs, cores.generation) as urls:
        measure_alone(urls)
        for mode in MODES:
            trained[mode] = our_run.train(_shape(mode, seed, steps, cores), base, place, sandbox)
            measure_alone(urls)
    return {
        "seed": seed,
        **figures(
            {mode: step_log.steady(trained[mode].steps, staleness) for mode, (staleness, _) in MODES.items()}, alone
        ),
        "answer_tokens": lengths([answer for group in finished for answer in group.answers]),
    }


def lengths(answers: Sequence[Answer]) -> dict[str, Any]:
    """How long answers are, in tokens, and the share of them that the limit cut."""
    tokens = [len(answer.token_ids) for answer in answers]
    return {
        **{f"p{percent}": percentile(tokens, percent) for percent in (50, 90, 99)},
        "mean": rounded(statistics.fmean(tokens)),
        "max": max(tokens),
        "truncated": rounded(statistics.fmean(answer.finish_reason == "length" for answer in answers)),
    }


async def _generate(
    prepared: our_run.Prepared, urls: ServerUrls, problems: Mapping[str, Problem], groups: int, attempt: int
) -> list[parts_alone.Finished]:
    from deepcoder_trainer.orchestrator.prompts import PromptRenderer  # imports torch, which takes seconds

    prompt_of = PromptRenderer(Path(prepared.at.model_directory))
    async with PolicyClient(urls, prepared.state / "weights", attempt) as client:
        return await parts_alone.generate(client, prepared.run, problems, prompt_of, groups)


def _shape(mode: str, seed: int, steps: int, cores: Cores) -> Shape:
    staleness, rollout = MODES[mode]
    return Shape(
        f"overlap-{mode.replace('_', '-')}", steps, seed, max_staleness=staleness, checkpoint_every=steps,
        max_response_tokens=MAX_RESPONSE_TOKENS, cores=cores, algorithm=ALGORITHM, rollout=rollout,
        optimizer={"learningRate": LEARNING_RATE, "schedule": "constant", "warmupSteps": 0},
    )  # fmt: skip


def figures(steps: Mapping[str, Sequence[step_log.Step]], alone: Sequence[Alone]) -> dict[str, Any]:
    """The ratios of one seed, from the steady steps of each mode and what the parts take alone.

    alone: measured before the first mode and after each. A mode is beside the mean of the two around it: what a core
    does in a second is not the same all day.

    Generation has a core; training and grading share the other, so that they take as long as both together. Training is
    what the ranks count in the synchronous run, in which nothing runs beside them.
    """
    training = statistics.fmean(step.optimising for step in steps["sync"])
    seconds = {mode: step_log.seconds_per_step(of_mode) for mode, of_mode in steps.items()}

    around = {mode: alone[place : place + 2] for place, mode in enumerate(steps)}

    def parts_of(mode: str) -> dict[str, float]:
        tokens = statistics.fmean(step.answer_tokens for step in steps[mode][1:])
        rate = statistics.fmean(one.tokens_per_second for one in around[mode])
        graded = statistics.fmean(one.grading_seconds for one in around[mode])
        return {"generation": tokens / rate, "training": training, "grading": graded}

    def least(mode: str) -> float:
        parts = parts_of(mode)
        return max(parts["generation"], parts["training"] + parts["grading"])

    parts, limit = parts_of("async"), least("async")
    return {
        "async_over_limit": rounded(limit / seconds["async"]),
        "async_over_sync": rounded(seconds["sync"] / seconds["async"]),
        "async_keep_kv_over_limit": rounded(least("async_keep_kv") / seconds["async_keep_kv"]),
        "async_keep_kv_over_sync": rounded(seconds["sync"] / seconds["async_keep_kv"]),
        "limit_set_by": "generation" if limit == parts["generation"] else "training and grading",
        "limit_seconds_per_step": rounded(limit),
        "alone_seconds_per_step": {name: rounded(value) for name, value in parts.items()},
        "generated_tokens_per_second": [rounded(one.tokens_per_second) for one in alone],
        "grading_seconds_per_step": [rounded(one.grading_seconds) for one in alone],
        "seconds_per_step": {mode: rounded(value) for mode, value in seconds.items()},
        "shares": {
            mode: {part: rounded(share) for part, share in step_log.shares(of_mode).items()}
            for mode, of_mode in steps.items()
        },
        "idle_share": {mode: rounded(step_log.idle_share(of_mode)) for mode, of_mode in steps.items()},
    }


def summary(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds."""
    keys = ("async_over_limit", "async_over_sync", "async_keep_kv_over_limit", "async_keep_kv_over_sync")
    return {**{key: rounded(statistics.median(seed[key] for seed in seeds)) for key in keys}, "seeds": list(seeds)}
