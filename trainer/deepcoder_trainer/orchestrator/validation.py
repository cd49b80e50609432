"""Held-out problems asked while the run trains: the same servers, sandboxes, limit and temperature as its stage.

A measurement is of one policy version: it goes on behind the steps, and the next weights wait for its end. Its seeds
are the same each time, so that scores differ by the weights and not by the draw.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import structlog

from deepcoder_api.artifacts import RunPaths, ValidationResult
from deepcoder_api.lifecycle import ScoredStep
from deepcoder_api.problems import Problem
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.training_run import ValidationSpec
from deepcoder_data.store import ObjectStore
from deepcoder_trainer.orchestrator.cursor import Draw
from deepcoder_trainer.orchestrator.failures import RunChanged, first_failure
from deepcoder_trainer.orchestrator.journal import to_samples_parquet
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.storage import stored
from deepcoder_trainer.samples import Sample

EPOCH = 0  # of the seeds: the same in every measurement
log = structlog.get_logger("validation")


@dataclass
class Validation:
    """The measurements of one run. `scores` are those there are, by step, whichever attempt made them."""

    spec: ValidationSpec
    problems: Mapping[str, Problem]
    sampler: Sampler
    store: ObjectStore
    paths: RunPaths
    attempt: int
    measured: Callable[[ValidationResult], None]
    scores: dict[int, float] = field(default_factory=dict[int, float])

    def due(self, step: int, *, last: bool) -> bool:
        """Whether the weights after `step` are to be measured, and have not been."""
        return step not in self.scores and step > 0 and (last or step % self.spec.every_steps == 0)

    @property
    def newest(self) -> ScoredStep | None:
        """The measurement of the latest step."""
        return ScoredStep(step=(step := max(self.scores)), score=self.scores[step]) if self.scores else None

    async def take_up(self) -> None:
        """Find what earlier attempts measured. Raises RunChanged for a result that is none."""
        folder = self.paths.validation(0).rpartition("/")[0]
        entries = await stored(lambda: list(self.store.list(folder)), "list the validations")
        for uri in (entry.uri for entry in entries if entry.uri.endswith(".json")):
            content = await stored(lambda uri=uri: self.store.get_bytes(uri), f"read {uri}")
            try:
                result = ValidationResult.model_validate_json(content)
            except ValueError as error:
                raise RunChanged(f"{uri} is no validation of this version: {error}") from error
            self.scores[result.step] = result.pass_at_1

    async def measure(self, step: int, stage: ResolvedStage) -> None:
        """Ask every problem under the limit of `stage`, store the answers, then the result.

        Raises the failure that explains the others when one answer cannot be had or graded: a score over a part of the
        problems would be another number.
        """
        started = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                groups = [
                    tasks.create_task(self.sampler.answers(Draw(id, EPOCH), stage, self.spec.samples_per_prompt))
                    for id in self.problems
                ]
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
        samples = [sample for group in groups for sample in group.result()]
        result = self._result(step, stage, samples, time.monotonic() - started)
        await self._store(result, samples)
        self.scores[step] = result.pass_at_1
        log.info("validated", step=step, score=round(result.pass_at_1, 4), seconds=round(result.seconds, 1))
        self.measured(result)

    def _result(self, step: int, stage: ResolvedStage, samples: Sequence[Sample], seconds: float) -> ValidationResult:
        by_source = defaultdict[str, list[float]](list)
        for sample in samples:
            by_source[self.problems[sample.problem_id].source].append(sample.reward)
        return ValidationResult(
            step=step,
            stage=stage.name,
            max_response_tokens=stage.max_response_tokens,
            temperature=stage.algorithm.temperature,
            problems=len(self.problems),
            samples=len(samples),
            pass_at_1=fmean(sample.reward for sample in samples),
            pass_at_1_by_source={source: fmean(rewards) for source, rewards in sorted(by_source.items())},
            truncated_fraction=fmean(sample.truncated for sample in samples),
            mean_answer_tokens=fmean(len(sample.answer_ids) for sample in samples),
            verdicts=dict(Counter(sample.verdict.value for sample in samples)),
            seconds=round(seconds, 3),
            attempt=self.attempt,
        )

    async def _store(self, result: ValidationResult, samples: Sequence[Sample]) -> None:
        uri = self.paths.validation(result.step)
        answers, content = to_samples_parquet(samples), result.model_dump_json(indent=1).encode()
        await stored(lambda: self.store.put_bytes(f"{uri}.parquet", answers), f"write {uri}.parquet")
        await stored(lambda: self.store.put_bytes(f"{uri}.json", content), f"write {uri}.json")
