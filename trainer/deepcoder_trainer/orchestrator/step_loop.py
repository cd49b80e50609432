"""The step loop: from the last checkpoint to the last step, one step after another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_trainer.algorithm.schedule import learning_rate
from deepcoder_trainer.batch import write_batch
from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.advancing import Course, StepShares
from deepcoder_trainer.orchestrator.behind import OneBehind
from deepcoder_trainer.orchestrator.checkpoints import Checkpoints
from deepcoder_trainer.orchestrator.cursor import Cursor, CursorPosition
from deepcoder_trainer.orchestrator.failures import Harmful, RunChanged, Stopped
from deepcoder_trainer.orchestrator.group_pool import GroupPool
from deepcoder_trainer.orchestrator.guards import Guards, step_figures
from deepcoder_trainer.orchestrator.journal import Journal
from deepcoder_trainer.orchestrator.metrics import BatchFigures, RunMetrics, batch_figures
from deepcoder_trainer.orchestrator.progress import RunProgress, StepClock
from deepcoder_trainer.orchestrator.racing import HappenedFirst, unless
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.resume import ResumePlan, RunState, check_state, drawn, plan_resume, replaced
from deepcoder_trainer.orchestrator.sampling import Sampler, batch_of
from deepcoder_trainer.orchestrator.validation import Validation
from deepcoder_trainer.orchestrator.weight_transport import WeightTransport
from deepcoder_trainer.rank_protocol import Load, Train
from deepcoder_trainer.run_report.figures import step_figures as recorded_figures
from deepcoder_trainer.run_report.records import RunRecords
from deepcoder_trainer.samples import GradedBatch, Sample

LOAD_SECONDS = 3600.0
TRAIN_SECONDS = 6 * 3600.0
# Prompts wait so long to be spread over all servers; then those that hold the weights get them all.
SPREAD_SECONDS = 600.0
Result = TypeVar("Result")
log = structlog.get_logger("steps")


@dataclass
class StepLoop:
    """Everything a step goes through. `stop` is set when somebody asks for the end."""

    run: ResolvedRun
    attempt: int
    dataset: str
    model_dir: Path
    batches: Path
    problem_ids: Sequence[str]
    sampler: Sampler
    ranks: RankChannel
    weights: WeightTransport
    journal: Journal
    checkpoints: Checkpoints
    progress: RunProgress
    metrics: RunMetrics
    records: RunRecords
    stop: asyncio.Event
    validation: Validation | None = None

    def __post_init__(self) -> None:
        self.state = RunState(
            step=0, stage=self.run.spec.stages[0].name, policy_version=0, cursor=CursorPosition(),
            dataset=self.dataset, prompts=0, answer_tokens=0, attempt=self.attempt,
        )  # fmt: skip
        self.course = Course.taken_up(self.run.stages, (), ())
        self.cursor = Cursor(self.problem_ids, self.run.algorithm.seed)
        self.guards = Guards()
        self.samples_behind = OneBehind()
        self.validation_behind = OneBehind()

    async def execute(self) -> str:
        """Train to the last step and return the URI of the model. Raises OrchestratorError."""
        plan = await self._take_up()
        self.pool = GroupPool(self.admission, self._sample_group, self._taken_over)
        self.metrics.idleness.take()  # the start is no part of a step
        try:
            await self._validate_what_was_taken_up(plan)
            if not plan.replay:
                self.pool.open(self.state.policy_version)
            while (step := self.state.step + 1) <= self.total_steps:
                await self._step(step, replayed=step in plan.replay, sampled_next=step + 1 not in plan.replay)
        finally:
            await self.validation_behind.give_up()
            await self.pool.close()
            await self.records.close(ended=self.state.step == self.total_steps)
        self.progress.activity = "checkpointing"
        await self.samples_behind.settle()
        await self.checkpoints.behind.settle()
        self._show_validation()
        self.progress.activity = "done"
        return f"{self.journal.paths.checkpoint(self.total_steps)}/model"

    @property
    def total_steps(self) -> int:
        """Steps of all stages, as far as is known: a stage may end early."""
        return self.course.timetable.total_steps

    async def _step(self, step: int, *, replayed: bool, sampled_next: bool) -> None:
        stage, clock, last = (
            self.course.timetable.stage_of(step),
            StepClock(self.metrics.idleness),
            step == self.total_steps,
        )
        self.progress.begin(stage.name)
        self.metrics.begin(self.course.timetable.index_of(step) + 1, stage.max_response_tokens)
        batch = await (self._replay(step, clock) if replayed else self._sample(step, clock))
        samples = batch.samples
        self._account(step, batch)
        await self.samples_behind.begin(self.journal.write_samples(step, samples))
        training = await self._train(step, stage, samples, clock)
        figures = batch_figures(batch)
        self._look(step, samples, figures, training)
        self._advance(step, figures)
        self.state = self._advanced(stage, samples)
        await self._publish(stage, clock, opens=sampled_next and not last, last=last)
        keeps = step % self.run.spec.checkpoint.every_steps == 0 or last
        if keeps:
            with clock.part("wait_for_checkpoint"):
                await self.checkpoints.begin(self.state, self._recorded)
        self.checkpoints.behind.check()
        self.validation_behind.check()
        self._show_validation()
        self._report(samples, figures, training, clock)
        if keeps:
            self.records.request_report()

    async def _publish(self, stage: ResolvedStage, clock: StepClock, *, opens: bool, last: bool) -> None:
        """Publish the weights where something is to be sampled with them: the next batches, or a validation.

        A validation is of one version, so the next one waits for its end; the last is in before the last checkpoint.
        """
        version = self.state.policy_version
        validates = self.validation is not None and self.validation.due(self.state.step, last=last)
        if not opens and not validates:
            return
        await self._settle_validation(clock)
        with clock.part("publish"):
            await self.weights.publish(version)
        if self.validation is not None and validates:
            await self.validation_behind.begin(self.validation.measure(self.state.step, stage))
        if opens:
            self.pool.open(version)
        if last:
            await self._settle_validation(clock)

    async def _settle_validation(self, clock: StepClock) -> None:
        if self.validation is not None:
            with clock.part("wait_for_validation"):
                await self._unless_stopped(self.validation_behind.settle())

    async def _validate_what_was_taken_up(self, plan: ResumePlan) -> None:
        """The measurement that the last attempt did not come to, of the checkpoint that this one begins with."""
        step = self.state.step
        if self.validation is None or step == self.total_steps or not self.validation.due(step, last=False):
            return
        if plan.replay:
            await self.weights.publish(self.state.policy_version)
        stage = self.course.timetable.stage_of(step)
        await self.validation_behind.begin(self.validation.measure(step, stage))

    def _show_validation(self) -> None:
        if self.validation is not None:
            self.progress.validation, self.progress.best_checkpoint = self.validation.newest, self.checkpoints.best

    async def _sample(self, step: int, clock: StepClock) -> GradedBatch:
        """The graded answers of a batch, durable in the journal when this returns. Others may be under way beside."""
        self.progress.activity = "sampling"
        with clock.part("sample"):
            taken = await self._unless_stopped(self.pool.take(step))
        with clock.part("journal"):
            batch = GradedBatch(batch_of(taken.groups.values()), list(taken.replaced.values()))
            return await self.journal.write(step, batch)

    async def _taken_over(self, version: int) -> None:
        await self.weights.await_version(version, SPREAD_SECONDS)

    async def _sample_group(self, number: int) -> list[Sample]:
        """The group of a draw, under the limit of the stage that it was begun for.

        Earlier draws are graded first: else two batches under way would be done at the same late time, and the ranks
        would wait for both to train on one.
        """
        stage = self.course.timetable.stages[self.admission.stage_of(number)]
        return await self.sampler.group(self.cursor.draw(number), stage, priority=number)

    async def _replay(self, step: int, clock: StepClock) -> GradedBatch:
        """The durable batch of a step that the last checkpoint does not hold."""
        with clock.part("journal"):
            batch = await self.journal.read(step)
        log.info("replaying", step=step, samples=len(batch.samples), replaced=len(batch.replaced))
        return batch

    def _account(self, step: int, batch: GradedBatch) -> None:
        """Be done with the draws of a durable batch. Raises RunChanged when it is none of this run's."""
        try:
            used = [self.cursor.number(draw) for draw in drawn(batch)]
            not_used = [self.cursor.number(draw) for draw in replaced(batch)]
        except KeyError as error:
            raise RunChanged(f"the batch of step {step} has the problem {error}, which the dataset lacks") from error
        withdrawn = self.admission.trained(step, used, not_used)
        self.pool.forget([*used, *not_used, *withdrawn])

    def _admission(self) -> Admission:
        return Admission(
            self.course.timetable, max_staleness=self.run.algorithm.max_staleness,
            first=self.cursor.number_at(self.state.cursor), ahead=self.state.ahead, replaced=self.state.replaced,
        )  # fmt: skip

    async def _train(
        self, step: int, stage: ResolvedStage, samples: Sequence[Sample], clock: StepClock
    ) -> dict[str, float]:
        self.progress.activity = "training"
        algorithm, file = stage.algorithm, batch_file(self.batches, step)
        with clock.part("train"):
            await asyncio.to_thread(
                write_batch, samples, file, step=step, temperature=algorithm.temperature,
                overlong_filter=algorithm.masks_truncated,
            )  # fmt: skip
            rate = learning_rate(step, self.total_steps, self.run.spec.optimizer)
            begins = step == self.course.timetable.first_step(self.course.timetable.index_of(step))
            command = Train(
                step=step, learning_rate=rate, tokens_per_microbatch=stage.tokens_per_microbatch,
                reset_optimizer=begins and stage.reset_optimizer,
            )  # fmt: skip
            with self.metrics.idleness.busy():
                result = await self.ranks.issue(command, TRAIN_SECONDS)
        file.unlink()
        return {**result.metrics, "learning_rate": rate}

    def _look(self, step: int, samples: Sequence[Sample], figures: BatchFigures, training: dict[str, float]) -> None:
        """Tell what the guards find. Raises Harmful before such weights are published or kept."""
        without_signal, groups = figures.groups_without_signal, len({sample.group for sample in samples})
        answers = [sample.answer_ids for sample in samples]
        found = self.guards.look(step_figures(step, without_signal, groups, answers, training))
        for finding in found:
            if str(finding) not in self.progress.warnings:
                log.warning("guard", step=step, finding=finding.name, text=finding.text)
        self.progress.warnings = tuple(map(str, found))
        self.metrics.warned([finding.name for finding in found])
        if found and found[0].stops:
            raise Harmful(f"step {step}: {found[0]}")

    def _advance(self, step: int, figures: BatchFigures) -> None:
        """Let the stage end where its advanceWhen asks for it: before anything more is admitted."""
        shares = StepShares(reward=figures.reward, truncated=figures.truncated)
        before = len(self.course.advances)
        self.course = self.course.after(step, shares, self.run.algorithm.max_staleness)
        self._show_course()
        for advance in self.course.advances[before:]:
            log.info("the stage ends early", stage=advance.stage, last_step=advance.step, reason=advance.reason)

    def _show_course(self) -> None:
        self.admission.timetable = self.course.timetable
        self.progress.total_steps, self.progress.advances = self.total_steps, self.course.advances

    async def _take_up(self) -> ResumePlan:
        """Claim the run, load what its last checkpoint holds, and say which durable steps follow it."""
        head = await self.checkpoints.claim()
        plan = plan_resume(head, await self.journal.steps(), self.run.total_steps)
        log.info("taking up", step=plan.step, checkpoint=plan.checkpoint, replay=len(plan.replay))
        folder: Path | None = None
        if plan.checkpoint is not None:
            self.state = await self.checkpoints.state(plan.checkpoint)
            check_state(self.state, plan, self.dataset)
            self.progress.resumed(head, self.state.step)
        await self.records.take_up(max(plan.replay, default=plan.step))
        self.course = Course.taken_up(self.run.stages, self.state.advances, self.state.window)
        self.admission = self._admission()
        self._show_course()
        if self.validation is not None:
            await self.validation.take_up()
            self._show_validation()
        if plan.step == self.total_steps:
            return plan
        if plan.checkpoint is not None:
            folder = await self.checkpoints.fetch(plan.checkpoint)
        elif self.run.spec.resume_from is not None:
            log.info("beginning with another run's checkpoint", uri=self.run.spec.resume_from.uri)
            folder = await self.checkpoints.fetch_other(self.run.spec.resume_from.uri)
        load = Load(model_dir=str(self.model_dir), checkpoint_dir=str(folder) if folder else None)
        await self.ranks.issue(load, LOAD_SECONDS)
        begins_with_base_model = (self.attempt, self.state.step) == (1, 0) and folder is None
        if not begins_with_base_model and not plan.replay:
            # Servers may hold weights of an attempt that is over; the base model, all of them hold.
            await self.weights.publish(self.state.policy_version)
        return plan

    async def leave_checkpoint(self) -> None:
        """Before a stop that was asked for: a checkpoint of all finished steps, unless there is one."""
        await self.checkpoints.behind.settle()
        last = self.state.step == self.total_steps
        if last and self.validation is not None and self.validation.due(self.state.step, last=True):
            return  # a run whose last checkpoint is there is over, and nobody would measure it any more
        committed = self.progress.checkpoint_step or 0
        if self.state.step > committed:
            await self.checkpoints.begin(self.state, self._recorded)
            await self.checkpoints.behind.settle()

    async def _recorded(self) -> None:
        """Samples and figures of the steps so far are in the store; figures as far as they can be written."""
        await self.samples_behind.settle()
        await self.records.settle()

    def _advanced(self, stage: ResolvedStage, samples: Sequence[Sample]) -> RunState:
        return RunState(
            step=self.state.step + 1,
            stage=stage.name,
            policy_version=self.state.policy_version + 1,
            cursor=self.cursor.position(self.admission.first),
            ahead=self.admission.ahead,
            replaced=self.admission.replaced,
            advances=self.course.advances,
            window=self.course.window,
            dataset=self.dataset,
            prompts=self.state.prompts + stage.algorithm.prompts_per_step,
            answer_tokens=self.state.answer_tokens + sum(len(sample.answer_ids) for sample in samples),
            attempt=self.attempt,
        )

    def _report(
        self, samples: Sequence[Sample], figures: BatchFigures, training: dict[str, float], clock: StepClock
    ) -> None:
        self.progress.step_done(self.state.step, figures, clock.seconds)
        self.metrics.step_done(self.state.step, samples, figures, training, clock.seconds)
        idle = self.metrics.idleness.take()
        for part, spent in idle.items():
            self.metrics.idle_seconds.labels(part).inc(spent)
        self.records.add(
            recorded_figures(
                step=self.state.step, stage=self.state.stage, attempt=self.attempt,
                time=datetime.now(UTC).isoformat(timespec="seconds"), samples=samples, figures=figures,
                training=training, seconds=clock.seconds,
            )
        )  # fmt: skip
        values = {**training, **clock.seconds, "idle": sum(idle.values())}
        rounded = {name: round(value, 4) for name, value in values.items()}
        idle_by = {part: round(spent, 4) for part, spent in idle.items()}
        log.info("step done", step=self.state.step, stage=self.state.stage, reward=round(figures.reward, 4),
                 truncated=round(figures.truncated, 4), answer_tokens=figures.answer_tokens,
                 generated=round(figures.generated, 4), idle_by=idle_by, **rounded)  # fmt: skip

    async def _unless_stopped(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, which is given up, or not begun, when somebody asks for the end. Raises Stopped."""
        stopped = Stopped(f"asked to stop after step {self.state.step}")
        if self.stop.is_set():
            work.close()
            raise stopped
        try:
            return await unless(self.stop, work)
        except HappenedFirst:
            raise stopped from None


def batch_file(folder: Path, step: int) -> Path:
    """Where the batch of a step lies while the ranks need it."""
    return folder / f"step-{step:06d}.safetensors"
