"""Progress as people see it: the table of a terminal, and the line of everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from deepcoder_cli.progress import EvaluationView, RunView, line, render

TRAINING = RunView(
    name="quickstart",
    phase="Training",
    stage="long",
    step=12,
    total_steps=40,
    reward=0.6251,
    truncated_fraction=0.0123,
    tokens_per_second=1234.5,
    seconds_left=3725.4,
    policy_version=12,
    attempt=2,
    checkpoint="s3://bucket/step-000010",
)


def drawn(view: RunView | EvaluationView) -> list[str]:
    """The lines of the view on a plain terminal."""
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(render(view))
    return [" ".join(text.split()) for text in capture.get().splitlines()]


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (RunView("tiny", "Pending"), "tiny: Pending"),
        (RunView("tiny", "Pending", message="waiting for the bucket"), "tiny: Pending, waiting for the bucket"),
        (RunView("tiny", "Starting", step=0, total_steps=5), "tiny: Starting, step 0/5"),
        (
            TRAINING,
            "quickstart: Training, step 12/40 (long), reward 0.625, truncated 1.2%, 1,234 tokens/s, 1:02:05 left",
        ),
        (RunView("tiny", "Training", validation=(10, 0.4)), "tiny: Training, validation 0.400 (step 10)"),
        (RunView("tiny", "Training", advances=("early", "earlier")), "tiny: Training, earlier"),
        (RunView("tiny", "Training", seconds_left=-3.0), "tiny: Training, 0:00:00 left"),
        (EvaluationView("before", 0, 0, 0), "before: starting"),
        (EvaluationView("before", 0, 0, 0, "waiting for the engine"), "before: waiting for the engine"),
        (EvaluationView("before", 64, 128, 20, "answering"), "before: 64 of 128 graded, 20 accepted"),
    ],
)
def test_line(view: RunView | EvaluationView, text: str) -> None:
    """What is not known yet is left out of the line."""
    assert line(view) == text


def test_table_shows_every_value() -> None:
    """A row for each value, under the name and a bar."""
    lines = drawn(TRAINING)
    assert lines[0] == "quickstart"
    assert lines[2:] == [
        "phase Training",
        "stage long",
        "step 12 of 40",
        "reward 0.625",
        "truncated 1.2%",
        "tokens/s 1,234",
        "time left 1:02:05",
        "policy version 12",
        "attempt 2",
        "checkpoint s3://bucket/step-000010",
    ]


def test_table_shows_what_only_some_runs_have() -> None:
    """Validation, the best checkpoint and stages that ended early stand below the values that every run has."""
    view = replace(TRAINING, validation=(10, 0.4), best_checkpoint=("s3://b/step-000005", 0.5), advances=("early",))
    assert drawn(view)[-3:] == [
        "validation 0.400 after step 10", "best checkpoint s3://b/step-000005 (0.500)", "ended early early",
    ]  # fmt: skip


def test_table_of_a_run_that_has_not_begun() -> None:
    """What is not known yet is a dash; a message stands below."""
    lines = drawn(RunView("tiny", "Preparing", message="reading 2 sources"))
    assert "phase Preparing" in lines
    assert [text for text in lines if text.endswith(" –")] == [
        *("stage –", "step –", "reward –", "truncated –", "tokens/s –", "time left –"),
        *("policy version –", "attempt –", "checkpoint –"),
    ]
    assert lines[-1] == "reading 2 sources"


def test_message_with_brackets_is_shown_as_it_is() -> None:
    """What the cluster says is no markup."""
    view = RunView("tiny", "Failed", message="spec.data.sources[train].uri: [red] is missing")
    assert drawn(view)[-1] == "spec.data.sources[train].uri: [red] is missing"


def test_evaluation_table() -> None:
    """Name, bar and counts."""
    assert drawn(EvaluationView("before", 64, 128, 20))[-1] == "64 of 128 graded, 20 accepted"
