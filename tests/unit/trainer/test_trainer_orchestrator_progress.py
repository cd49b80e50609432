"""What a run says of itself: progress, seconds by part, figures and metrics of a batch."""

from __future__ import annotations

import math

import pytest
from prometheus_client import generate_latest

from deepcoder_api.artifacts import Head
from deepcoder_api.grading import Verdict
from deepcoder_api.lifecycle import ScoredCheckpoint, ScoredStep, StageAdvance
from deepcoder_api.rollout import WeightReceipt
from deepcoder_trainer.orchestrator.checkpoints import Committed
from deepcoder_trainer.orchestrator.metrics import BatchFigures, RunMetrics, batch_figures
from deepcoder_trainer.orchestrator.progress import Activity, RunProgress, StepClock
from deepcoder_trainer.samples import GradedBatch, Replaced
from tests.orchestrator_builders import sample

BATCH = [
    sample(group=0, reward=1.0, advantage=0.5),
    sample(group=0, reward=0.0, advantage=-0.5, verdict=Verdict.WRONG_ANSWER, finish_reason="length"),
    sample(group=1, reward=0.0, advantage=0.0, verdict=Verdict.NO_PROGRAM),
    sample(group=1, reward=0.0, advantage=0.0, verdict=Verdict.NO_PROGRAM),
]
FIGURES = BatchFigures(
    samples=4, reward=0.25, truncated=0.25, answer_tokens=12, groups_without_signal=1,
    verdicts={"accepted": 1, "wrong_answer": 1, "no_program": 2}, generated=2.5,
    replaced={1.0: 2, 0.0: 1},
)  # fmt: skip


def test_figures_of_a_batch_by_hand() -> None:
    """One of four right, one cut off, three tokens each, one group of two without a signal, three replaced."""
    replaced = [Replaced("a", 0, 1.0), Replaced("b", 0, 0.0), Replaced("c", 0, 1.0)]
    assert batch_figures(GradedBatch(BATCH, replaced)) == FIGURES


def test_progress_after_a_step() -> None:
    """12 tokens in 3 seconds are 4 a second; the policy's version is the number of steps."""
    progress = RunProgress(attempt=2, total_steps=5, activity="training")
    progress.begin("short")
    progress.step_done(3, FIGURES, {"sample": 2.0, "train": 1.0})
    view = progress.view(rollouts_ready=2)
    assert (view.attempt, view.state, view.stage) == (2, "training", "short")
    assert (view.step, view.total_steps, view.policy_version, view.rollouts_ready) == (3, 5, 3, 2)
    assert (view.reward, view.truncated_fraction, view.tokens_per_second, view.seconds_per_step) == (0.25, 0.25, 4, 3)


def test_the_end_says_what_nobody_asked_for_in_time() -> None:
    """What the last step, its validation and the last stage that ended early came to, in the 4 KiB that are kept."""
    progress = RunProgress(attempt=1, total_steps=3)
    progress.step_done(3, FIGURES, {"sample": 2.0})
    progress.validation = ScoredStep(step=3, score=0.5)
    progress.best_checkpoint = ScoredCheckpoint(uri="s3://b/step-000002", step=2, score=0.75)
    progress.advances = tuple(StageAdvance(stage=str(n), step=n, reason="r" * 1024) for n in (1, 3))
    said = progress.completion("s3://b/step-000003/model")
    assert (said.outcome, said.uri, said.step) == ("done", "s3://b/step-000003/model", 3)
    assert (said.reward, said.truncated_fraction, said.validation) == (0.25, 0.25, progress.validation)
    assert (said.best_checkpoint, said.advance) == (progress.best_checkpoint, progress.advances[1])
    assert len(said.model_dump_json()) < 4096


def test_the_end_of_a_run_that_took_up_a_finished_one_makes_nothing_up() -> None:
    """No step was done in this attempt."""
    said = RunProgress(attempt=2, total_steps=3).completion("s3://b/model")
    assert (said.reward, said.validation, said.best_checkpoint, said.advance) == (None, None, None, None)


@pytest.mark.parametrize(
    ("activity", "ready", "state"),
    [
        ("starting", 0, "starting"),
        ("sampling", 0, "waiting_for_rollout"),
        ("sampling", 1, "training"),
        ("training", 0, "training"),
        ("checkpointing", 1, "checkpointing"),
        ("done", 0, "done"),
    ],
)
def test_a_run_that_has_nobody_to_ask_says_so(activity: Activity, ready: int, state: str) -> None:
    """Sampling without a server that holds the weights is waiting, with a message; nothing else is."""
    view = RunProgress(attempt=1, total_steps=5, activity=activity).view(ready)
    assert view.state == state
    assert bool(view.message) is (state == "waiting_for_rollout")


def test_before_the_first_step_nothing_is_made_up() -> None:
    """No reward, no speed, no checkpoint."""
    view = RunProgress(attempt=1, total_steps=5).view(0)
    assert (view.reward, view.tokens_per_second, view.checkpoint_uri) == (None, None, None)


def test_a_resumed_run_shows_its_checkpoint_until_it_has_a_newer_one() -> None:
    """Step and checkpoint of the attempt before, then its own."""
    progress = RunProgress(attempt=2, total_steps=5)
    progress.resumed(Head(attempt=1, checkpoint="s3://b/step-000002", step=2, time="then"), step=2)
    assert (progress.view(0).step, progress.view(0).checkpoint_uri) == (2, "s3://b/step-000002")
    progress.committed(Committed("s3://b/step-000004", 4, "now", bytes=10, seconds=1.0))
    view = progress.view(0)
    assert (view.checkpoint_uri, view.checkpoint_step, view.checkpoint_time) == ("s3://b/step-000004", 4, "now")


def test_the_clock_adds_up_a_part_that_comes_twice_and_counts_one_that_fails() -> None:
    """Seconds by part; a part that raises has cost its time too."""
    clock = StepClock()
    with clock.part("journal"):
        pass
    first = clock.seconds["journal"]
    with pytest.raises(OSError, match="away"), clock.part("journal"):
        raise OSError("away")
    assert clock.seconds["journal"] > first


def test_what_prometheus_reads_after_two_steps() -> None:
    """Gauges are of the last step, counters of both; a metric that the ranks did not give keeps its value."""
    metrics = RunMetrics()
    metrics.step_done(
        1, BATCH, FIGURES, {"loss": 0.5, "entropy": 2.0, "group_signal_fraction": 0.5}, {"train": 1.0, "sample": 2.0}
    )
    metrics.step_done(2, BATCH, FIGURES, {"loss": 0.25}, {"train": 3.0})
    metrics.weights_received(
        WeightReceipt(
            attempt=1, version=1, bytes=11, trainer_bytes=8, peer_bytes=3, fetch_seconds=0.5, pause_seconds=0.25
        )
    )  # fmt: skip
    metrics.checkpoint_committed(Committed("s3://b/step-000002", 2, "now", bytes=10, seconds=1.5))
    lines = dict(
        line.rsplit(" ", 1) for line in generate_latest(metrics.registry).decode().splitlines() if line[0] != "#"
    )
    expected = {
        "deepcoder_step": 2,
        "deepcoder_policy_version": 2,
        "deepcoder_reward_ratio": 0.25,
        "deepcoder_response_tokens_per_second": 4,
        "deepcoder_loss": 0.25,
        "deepcoder_entropy_nats": 2,
        "deepcoder_group_signal_ratio": 0.5,
        'deepcoder_step_part_seconds{part="train"}': 3,
        'deepcoder_step_part_seconds_sum_total{part="train"}': 4,
        'deepcoder_verdicts_total{verdict="no_program"}': 4,
        "deepcoder_groups_without_signal_total": 2,
        "deepcoder_generated_samples_ratio": 2.5,
        'deepcoder_groups_replaced_total{reward="1"}': 4,
        'deepcoder_response_tokens_count{verdict="no_program"}': 4,
        'deepcoder_response_tokens_sum{verdict="no_program"}': 12,
        'deepcoder_weight_sync_bytes_total{source="trainer"}': 8,
        'deepcoder_weight_sync_bytes_total{source="peer"}': 3,
        'deepcoder_weight_sync_seconds_total{part="fetch"}': 0.5,
        "deepcoder_checkpoint_step": 2,
        "deepcoder_checkpoint_seconds": 1.5,
    }
    assert {name: float(lines[name]) for name in expected} == expected
    assert all(math.isfinite(float(value)) for value in lines.values())
