"""Builders of a run's report."""

from __future__ import annotations

from typing import Any

from deepcoder_api.artifacts import ReportStage, RunReport, StepFigures

STAGES = (
    ReportStage(name="8k", max_response_tokens=8192, first_step=1, steps=3),
    ReportStage(name="16k", max_response_tokens=16384, first_step=4, steps=7),
)


def step_figures(step: int, **changes: Any) -> StepFigures:
    """A step of 8 answers; three steps in stage 8k, then 16k."""
    values: dict[str, Any] = {
        "step": step,
        "stage": "8k" if step < 4 else "16k",
        "attempt": 1,
        "time": "2026-11-26T05:00:00+00:00",
        "answers": 8,
        "reward": 0.5,
        "truncated": 0.25,
        "answer_tokens": 8000,
        "shortest_answer": 100,
        "median_answer": 900.0,
        "longest_answer": 8192,
        "groups_without_signal": 1,
        "verdicts": {"accepted": 4, "wrong_answer": 4},
        "training": {"entropy": 0.4, "sampler_kl": 0.001, "gradient_norm": 0.2, "group_signal_fraction": 0.5},
        "seconds": {"sample": 10.0, "train": 5.0},
    }
    return StepFigures(**{**values, **changes})


def run_report(*steps: StepFigures) -> RunReport:
    """A run of ten steps with what is known of some."""
    return RunReport(
        namespace="default", name="tiny", uid="0123456789abcdef", model="s3://bucket/<model>", preset="grpo-plus",
        total_steps=10, stages=STAGES, steps=steps,
    )  # fmt: skip
