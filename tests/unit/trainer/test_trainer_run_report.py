"""A run's report: figures of a step, lines over steps, and the page."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.metrics import batch_figures
from deepcoder_trainer.run_report.figures import report_stages, step_figures
from deepcoder_trainer.run_report.page import plots, run_page
from deepcoder_trainer.run_report.plots import HEIGHT, MOST_PLACES, WIDTH, axis, plot, short
from deepcoder_trainer.samples import GradedBatch
from tests.orchestrator_builders import sample
from tests.resolved_runs import resolved_run
from tests.run_figures import STAGES, run_report
from tests.run_figures import step_figures as built


def test_figures_of_a_step_are_those_of_its_batch() -> None:
    """Lengths of answers in tokens, mean reward, share cut, what the ranks and the clock said."""
    batch = [sample(), sample(answer_ids=(1,), log_probabilities=(-1.0,), versions=(4,), reward=0.0)]
    figures = step_figures(
        step=3, stage="8k", attempt=2, time="now", samples=batch, figures=batch_figures(GradedBatch(batch)),
        training={"loss": 0.5}, seconds={"train": 2.0},
    )  # fmt: skip
    assert (figures.shortest_answer, figures.median_answer, figures.longest_answer) == (1, 2.0, 3)
    assert (figures.answers, figures.reward, figures.answer_tokens) == (2, 0.5, 4)
    assert (figures.training, figures.seconds, figures.attempt) == ({"loss": 0.5}, {"train": 2.0}, 2)


def test_stages_begin_where_the_one_before_ends() -> None:
    """Steps count from 1."""
    assert [(stage.name, stage.first_step, stage.steps) for stage in report_stages(resolved_run())] == [
        ("short", 1, 3),
        ("long", 4, 2),
    ]


def test_a_stage_that_began_early_is_shown_where_it_began() -> None:
    """The stage before it ended early; figures that were lost make no stage begin late."""
    steps = [built(1, stage="short"), built(2, stage="short"), built(3, stage="long")]
    assert [stage.first_step for stage in report_stages(resolved_run(), steps)] == [1, 3]
    assert [stage.first_step for stage in report_stages(resolved_run(), [built(5, stage="long")])] == [1, 4]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (0, 16384, [0, 5000, 10000, 15000, 20000]),
        (0, 0, [0, 0.5, 1]),
        (-0.3, 0.3, [-0.4, -0.2, 0, 0.2, 0.4]),
        (0, 0.00013, [0, 0.00005, 0.0001, 0.00015]),
        (0, 6.4e-15, [0, 2e-15, 4e-15, 6e-15, 8e-15]),
    ],
)
def test_axis_is_of_round_numbers_that_hold_all(low: float, high: float, ticks: list[float]) -> None:
    """1, 2 or 5 times a power of ten apart."""
    assert axis(low, high) == pytest.approx(ticks, rel=1e-9, abs=0)


@given(st.floats(-1e300, 0), st.floats(0, 1e300))
def test_every_axis_has_a_first_and_a_last_number_with_all_between(low: float, high: float) -> None:
    """A gap of 1e-15 between sampler and trainer is drawn like any other: no two ticks are one."""
    ticks = axis(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(before < after for before, after in itertools.pairwise(ticks))
    slack = 1e-9 * (ticks[1] - ticks[0])
    assert ticks[0] <= low + slack
    assert high - slack <= ticks[-1]


def test_line_goes_through_its_steps_and_is_cut_where_nothing_is_known() -> None:
    """In the viewBox, from the first step to the last, zero at the bottom; a stage's first step has a mark."""
    steps = [built(step, reward=reward) for step, reward in ((1, 0.0), (2, 1.0), (4, 0.5), (5, 0.5))]
    drawn = plot("t", "u", [("r", lambda f: None if f.step == 4 else f.reward)], steps, STAGES)
    assert drawn is not None
    assert drawn.series[0].parts == (
        f"0.0,{HEIGHT}.0 {WIDTH / 4:.1f},0.0",
        f"{WIDTH}.0,{HEIGHT / 2:.1f} {WIDTH}.0,{HEIGHT / 2:.1f}",
    )
    assert [(tick.at, tick.label) for tick in drawn.stages] == [(WIDTH * 3 / 4, "16k")]
    assert drawn.places[0].said == "step 1 (8k), r 0"


def test_numbers_that_are_none_are_not_drawn() -> None:
    """A plot of which nothing is known is not there; infinities and NaN are gaps."""
    steps = [built(1, training={"entropy": float("nan")}), built(2, training={})]
    assert plot("t", "u", [("e", lambda f: f.training.get("entropy"))], steps, STAGES) is None
    assert plot("t", "u", [("e", lambda f: f.reward)], [], STAGES) is None


def test_a_long_run_shares_places_and_draws_every_step() -> None:
    """2,000 steps: at most 280 strips to point at, 2,000 points."""
    steps = [built(step) for step in range(1, 2001)]
    drawn = plot("t", "u", [("r", lambda f: f.reward)], steps, STAGES)
    assert drawn is not None
    assert len(drawn.places) <= MOST_PLACES
    assert len(drawn.series[0].parts[0].split()) == 2000


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (950, "950"), (16384, "16.4k"), (2.5e6, "2.5M"), (0.00003, "3.0e-05")]
)
def test_numbers_are_written_short(value: float, text: str) -> None:
    """As they fit beside an axis."""
    assert short(value) == text


def test_page_needs_nothing_else_and_shows_every_plot() -> None:
    """No script, no link; each plot is sound SVG with a title; what users wrote is escaped."""
    report = run_report(*(built(step) for step in range(1, 6)))
    page = run_page(report)
    assert not re.search(r"<script|src=|href=|@import|url\(", page)
    assert "s3://bucket/&lt;model&gt;" in page
    images = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(images) == len(plots(report)) == 8
    for image in images:
        ElementTree.fromstring(image)
    assert "5 / 10" in page
    assert "step 4 (16k), reward 0.5" in page


def test_page_of_a_run_without_a_step() -> None:
    """Says so, and has no plot."""
    page = run_page(run_report())
    assert "No step is done yet." in page
    assert "<svg" not in page
