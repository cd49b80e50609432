"""What a local run tells where there is no terminal, and what it makes of progress."""

from __future__ import annotations

import io

from rich.console import Console

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_cli.reporter import Reporter, evaluation_view, run_view


def told(*views: object) -> list[str]:
    """The lines of a reporter that is shown all views."""
    output = io.StringIO()
    reporter = Reporter(Console(file=output, width=200))
    with reporter.showing():
        for view in views:
            reporter.show(view)  # type: ignore[arg-type]
    return output.getvalue().splitlines()


def progress(step: int, **changes: object) -> Progress:
    """A run of 4 steps under way."""
    given = Progress(attempt=1, state="training", stage="short", step=step, total_steps=4)
    return given.model_copy(update=changes)


def test_a_line_for_each_new_step() -> None:
    """What changes within a step is not worth a line; another attempt is."""
    steps = [progress(0), progress(0, message="sampling"), progress(1), progress(1), progress(1, attempt=2)]
    assert len(told(*(run_view("tiny", step) for step in steps))) == 3


def test_a_line_for_each_tenth_of_the_answers() -> None:
    """An evaluation of many problems does not flood a log."""
    views = [evaluation_view("before", EvaluationProgress(answered=n, total=128)) for n in range(129)]
    lines = told(*views)
    assert len(lines) == 11
    assert lines[-1] == "before: 128 of 128 graded, 0 accepted"


def test_time_left_is_that_of_the_remaining_steps() -> None:
    """Seconds a step times the steps that are left; unknown before the first step is done."""
    assert run_view("tiny", progress(1, seconds_per_step=2.5)).seconds_left == 7.5
    assert run_view("tiny", progress(0)).seconds_left is None


def test_markup_in_what_is_said_is_shown_as_it_is() -> None:
    """Field paths have brackets."""
    output = io.StringIO()
    Reporter(Console(file=output, width=200)).say("tiny", "spec.data.sources[train].uri is not there", "red")
    assert output.getvalue() == "tiny: spec.data.sources[train].uri is not there\n"
