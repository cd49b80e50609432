"""The figures of a step out of its batch, and the report of a run out of its steps. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from deepcoder_api.artifacts import ReportStage, RunReport, StepFigures
from deepcoder_api.resolve import ResolvedRun
from deepcoder_trainer.orchestrator.metrics import BatchFigures
from deepcoder_trainer.samples import Sample


def step_figures(
    *,
    step: int,
    stage: str,
    attempt: int,
    time: str,
    samples: Sequence[Sample],
    figures: BatchFigures,
    training: Mapping[str, float],
    seconds: Mapping[str, float],
) -> StepFigures:
    """The figures of one step. `samples` are its batch, of which there is at least one."""
    lengths = [len(sample.answer_ids) for sample in samples]
    return StepFigures(
        step=step,
        stage=stage,
        attempt=attempt,
        time=time,
        answers=figures.samples,
        reward=figures.reward,
        truncated=figures.truncated,
        answer_tokens=figures.answer_tokens,
        shortest_answer=min(lengths),
        median_answer=statistics.median(lengths),
        longest_answer=max(lengths),
        groups_without_signal=figures.groups_without_signal,
        verdicts=figures.verdicts,
        training=dict(training),
        seconds=dict(seconds),
    )


def run_report(run: ResolvedRun, steps: Iterable[StepFigures]) -> RunReport:
    """The report of a run with these steps, in any order."""
    ordered = tuple(sorted(steps, key=lambda figures: figures.step))
    return RunReport(
        namespace=run.namespace,
        name=run.name,
        uid=run.uid,
        model=run.spec.model.uri,
        preset=run.algorithm.preset,
        total_steps=run.total_steps,
        stages=report_stages(run, ordered),
        steps=ordered,
    )


def report_stages(run: ResolvedRun, steps: Iterable[StepFigures] = ()) -> tuple[ReportStage, ...]:
    """The stages of a run, each with the step that it begins with: as `steps` tell, and as planned after them."""
    begun: dict[str, int] = {}
    for figures in steps:
        begun.setdefault(figures.stage, figures.step)
    stages: list[ReportStage] = []
    first = 1
    for stage in run.spec.stages:
        first = min(first, begun.get(stage.name, first))  # a stage may end early, never late
        stages.append(
            ReportStage(
                name=stage.name, max_response_tokens=stage.max_response_tokens, first_step=first, steps=stage.steps
            )
        )
        first += stage.steps
    return tuple(stages)
