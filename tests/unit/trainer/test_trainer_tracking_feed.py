"""Steps on their way to a tool: each once, in order, kept while the tool does not take them; and what it is told of."""

from __future__ import annotations

import pytest

from deepcoder_api.artifacts import StepFigures
from deepcoder_trainer.tracking.__main__ import ENDED, Feed, follow
from deepcoder_trainer.tracking.tracker import tracked, trackings
from tests.resolved_runs import resolved_run
from tests.run_figures import step_figures

WANDB = {"project": "coder", "secretName": "wandb-key"}
MLFLOW = {"url": "https://mlflow.example", "experiment": "coder"}


class Tool:
    """A tracker that has `last` steps already and is away for `away` calls."""

    def __init__(self, last: int = 0, away: int = 0) -> None:
        self.last, self.away = last, away
        self.opened, self.steps, self.closed = 0, list[int](), list[bool]()

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise ConnectionError("the tool is away")

    def open(self) -> int:
        self._answer()
        self.opened += 1
        return self.last

    def log(self, figures: StepFigures) -> None:
        self._answer()
        self.steps.append(figures.step)

    def close(self, *, ended: bool) -> None:
        self._answer()
        self.closed.append(ended)


def lines(*steps: int, ended: bool = True) -> list[str]:
    return [*(f"{step_figures(step).model_dump_json()}\n" for step in steps), *([f"{ENDED}\n"] if ended else [])]


def test_steps_are_handed_over_in_order() -> None:
    """And the end is told."""
    tool = Tool()
    follow(Feed(tool), lines(1, 2, 3))
    assert (tool.opened, tool.steps, tool.closed) == (1, [1, 2, 3], [True])


def test_what_the_tool_has_is_not_given_again() -> None:
    """A later attempt tells all that is known; two steps are there."""
    tool = Tool(last=2)
    follow(Feed(tool), lines(1, 2, 3, 4, ended=False))
    assert (tool.steps, tool.closed) == ([3, 4], [False])


@pytest.mark.parametrize("away", [1, 2, 3])
def test_steps_wait_while_the_tool_is_away(away: int) -> None:
    """None is lost, none is given twice, whenever it fails."""
    tool = Tool(away=away)
    follow(Feed(tool), lines(1, 2, 3))
    assert (tool.opened, tool.steps, tool.closed) == (1, [1, 2, 3], [True])


def test_a_tool_that_never_answers_raises_nothing() -> None:
    """Its failure is its own."""
    tool = Tool(away=100)
    follow(Feed(tool), lines(1, 2))
    assert (tool.opened, tool.steps, tool.closed) == (0, [], [])


def test_a_run_has_the_trackers_that_it_asks_for() -> None:
    """None by itself; each with the run's main values and its own specification."""
    assert trackings(resolved_run()) == []
    run = resolved_run(tracking={"wandb": WANDB, "mlflow": MLFLOW})
    first, second = trackings(run)
    assert (first.wandb, first.mlflow) == (run.spec.tracking.wandb, None)
    assert (second.wandb, second.mlflow) == (None, run.spec.tracking.mlflow)
    assert first.run == second.run == tracked(run)
    assert (first.run.title, first.run.parameters["steps"]) == ("default/tiny", 5)
    assert first.run.parameters["algorithm"]["samples_per_prompt"] == 2
