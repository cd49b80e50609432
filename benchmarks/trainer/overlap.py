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
from benchmarks.trainer.place import Place, Say, grading
from benchmarks.trainer.policy_server import PolicyClient, ServerUrls, running_server
from benchmarks.trainer.runs import Shape
from deepcoder_api.problems import Problem
from deepcoder_trainer.orchestrator.generation import Answer

STEPS = 12
"""Of the synchronous run; the asynchronous ones take as many more as fill their pipe and empty it."""
STALENESS = 4
"""What AReaL's documentation runs its asynchronous examples with (`max_head_offpolicyness`)."""
ALONE_STEPS = 4
"""Steps' worth of answers that are generated and graded alone, beside those that fill and empty the pipe."""
ALGORITHM = {"promptsPerStep": 16, "samplesPerPrompt": 8}
"""As many answers a step as the server samples at once (vLLM's `max_num_seqs` on CPU, 128)."""
MAX_RESPONSE_TOKENS = 512
SYNC = "sync"
ASYNC: Mapping[str, dict[str, Any]] = {"async": {}, "async_keep_kv": {"keepKv": True}}
"""The asynchronous modes, and what the rollout servers of each have of their own."""
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

    def train(shape: Shape) -> list[step_log.Step]:
        return step_log.steady(our_run.train(shape, base, place, sandbox).steps, shape.max_staleness)

    trained = {SYNC: train(_shape(SYNC, seed, steps, cores, max_staleness=0))}
    prepared = our_run.prepare(_shape("alone", seed, steps, cores), base, place, sandbox)
    problems = {problem.id: problem for problem in read_problems(base / "training.jsonl")}
    # This server does nothing while a run is measured.
    with running_server(prepared.run, prepared.at, prepared.logs, cores.generation) as urls:
        parts = _Parts(prepared, urls, problems, sandbox, cores, steps, place.say)
        alone = [parts.measure()]
        for mode, rollout in ASYNC.items():
            trained[mode] = train(_shape(mode, seed, steps, cores, rollout=rollout))
            alone.append(parts.measure())
    return {"seed": seed, **figures(trained, alone), "answer_tokens": lengths(parts.answers)}


class _Parts:
    """What is measured alone, time and again on one server; `answers` are those of the last time."""

    def __init__(
        self, prepared: our_run.Prepared, urls: ServerUrls, problems: Mapping[str, Problem], sandbox: str,
        cores: Cores, steps: int, say: Say,
    ) -> None:  # fmt: skip
        self._prepared, self._urls, self._problems, self._sandbox = prepared, urls, problems, sandbox
        self._core, self._say = cores.training, say
        self._prompts, self._room = prepared.run.algorithm.prompts_per_step, parts_alone.under_way(prepared.run)
        self._groups = 2 * self._room + min(ALONE_STEPS, steps) * self._prompts
        self._times = 0
        self.answers: list[Answer] = []

    def measure(self) -> Alone:
        """Generate, then grade. Raises what either failed with."""
        self._times += 1
        self._say(f"alone: {self._groups} groups")
        with pinned(self._core):
            finished = asyncio.run(self._generate())
            seconds = asyncio.run(parts_alone.grade(self._sandbox, self._prepared.run, self._problems, finished))
        self.answers = [answer for group in finished for answer in group.answers]
        rate = parts_alone.tokens_per_second(finished, self._room)
        return Alone(rate, seconds * self._prompts / len(finished))

    async def _generate(self) -> list[parts_alone.Finished]:
        from deepcoder_trainer.orchestrator.prompts import PromptRenderer  # imports torch, which takes seconds

        run, weights = self._prepared.run, self._prepared.state / "weights"
        prompt_of = PromptRenderer(Path(self._prepared.at.model_directory))
        async with PolicyClient(self._urls, weights, attempt=self._times) as client:
            return await parts_alone.generate(client, run, self._problems, prompt_of, self._groups)


def lengths(answers: Sequence[Answer]) -> dict[str, Any]:
    """How long answers are, in tokens, and the share of them that the limit cut."""
    tokens = [len(answer.token_ids) for answer in answers]
    return {
        **{f"p{percent}": percentile(tokens, percent) for percent in (50, 90, 99)},
        "mean": rounded(statistics.fmean(tokens)),
        "max": max(tokens),
        "truncated": rounded(statistics.fmean(answer.finish_reason == "length" for answer in answers)),
    }


def _shape(
    mode: str, seed: int, steps: int, cores: Cores, *, max_staleness: int = STALENESS,
    rollout: Mapping[str, Any] | None = None,
) -> Shape:  # fmt: skip
    steps += 2 * max_staleness
    return Shape(
        f"overlap-{mode.replace('_', '-')}", steps, seed, max_staleness=max_staleness, checkpoint_every=steps,
        max_response_tokens=MAX_RESPONSE_TOKENS, cores=cores, algorithm=ALGORITHM, rollout=dict(rollout or {}),
        optimizer={"learningRate": LEARNING_RATE, "schedule": "constant", "warmupSteps": 0},
    )  # fmt: skip


def figures(steps: Mapping[str, Sequence[step_log.Step]], alone: Sequence[Alone]) -> dict[str, Any]:
    """The ratios of one seed, from the steady steps of each mode and what the parts take alone.

    alone: measured before the first asynchronous mode and after each. A mode is beside the mean of the two around it:
    what a core does in a second is not the same all day.

    Generation has a core; training and grading share the other, so that they take as long as both together. Training is
    what the ranks count in the synchronous run, in which nothing runs beside them.
    """
    training = statistics.fmean(step.optimising for step in steps[SYNC])
    seconds = {mode: step_log.seconds_per_step(of_mode) for mode, of_mode in steps.items()}
    around = {mode: alone[place : place + 2] for place, mode in enumerate(ASYNC)}

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
        "async_over_sync": rounded(seconds[SYNC] / seconds["async"]),
        "async_keep_kv_over_limit": rounded(least("async_keep_kv") / seconds["async_keep_kv"]),
        "async_keep_kv_over_sync": rounded(seconds[SYNC] / seconds["async_keep_kv"]),
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
