"""How a run's progress looks in a terminal: one table that is drawn again and again. Pure but for rich's objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class RunView:
    """What people want to see of a run, from its status or from its orchestrator."""

    name: str
    phase: str
    stage: str | None = None
    step: int | None = None
    total_steps: int | None = None
    reward: float | None = None
    truncated_fraction: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    policy_version: int | None = None
    attempt: int | None = None
    checkpoint: str | None = None
    advances: tuple[str, ...] = ()
    validation: tuple[int, float] | None = None
    """Step and score of the newest validation."""
    best_checkpoint: tuple[str, float] | None = None
    """URI and score of the checkpoint with the best one."""
    message: str = ""


@dataclass(frozen=True)
class EvaluationView:
    """What people want to see of an evaluation: answers graded and accepted of those to be given."""

    name: str
    answered: int
    total: int
    accepted: int
    message: str = ""


def render(view: RunView | EvaluationView) -> RenderableType:
    """The view as a bar over its values; what is not known yet is a dash."""
    if isinstance(view, EvaluationView):
        return Group(Text(view.name, style="bold"), _bar(view.answered, view.total), Text(_counted(view)))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", justify="right")
    table.add_column()
    for label, value in (
        ("phase", view.phase),
        ("stage", view.stage or "–"),
        ("step", f"{view.step} of {view.total_steps}" if view.step is not None else "–"),
        ("reward", _number(view.reward, "{:.3f}")),
        ("truncated", _number(view.truncated_fraction, "{:.1%}")),
        ("tokens/s", _number(view.tokens_per_second, "{:,.0f}")),
        ("time left", _duration(view.seconds_left)),
        ("policy version", _number(view.policy_version, "{}")),
        ("attempt", _number(view.attempt, "{}")),
        ("checkpoint", view.checkpoint or "–"),
    ):
        table.add_row(label, value)
    if view.validation is not None:
        step, score = view.validation
        table.add_row("validation", f"{score:.3f} after step {step}")
    if view.best_checkpoint is not None:
        uri, score = view.best_checkpoint
        table.add_row("best checkpoint", f"{uri} ({score:.3f})")
    for advance in view.advances:
        table.add_row("ended early", advance)
    lines: list[RenderableType] = [Text(view.name, style="bold"), _bar(view.step, view.total_steps), table]
    if view.message:
        lines.append(Text(view.message, style="yellow"))
    return Group(*lines)


def line(view: RunView | EvaluationView) -> str:
    """The view on one line, for output that is not a terminal."""
    if isinstance(view, EvaluationView):
        return f"{view.name}: {_counted(view)}"
    parts = [view.phase]
    if view.step is not None:
        parts.append(f"step {view.step}/{view.total_steps}" + (f" ({view.stage})" if view.stage else ""))
    if view.reward is not None:
        parts.append(f"reward {view.reward:.3f}")
    if view.truncated_fraction is not None:
        parts.append(f"truncated {view.truncated_fraction:.1%}")
    if view.validation is not None:
        step, score = view.validation
        parts.append(f"validation {score:.3f} (step {step})")
    if view.tokens_per_second is not None:
        parts.append(f"{view.tokens_per_second:,.0f} tokens/s")
    if view.seconds_left is not None:
        parts.append(f"{_duration(view.seconds_left)} left")
    if view.advances:
        parts.append(view.advances[-1])
    if view.message:
        parts.append(view.message)
    return f"{view.name}: " + ", ".join(parts)


def advance_text(stage: str, step: int, reason: str) -> str:
    """A stage that ended early, in words."""
    return f"stage {stage} ended with step {step}: {reason}"


def _bar(completed: int | None, total: int | None) -> RenderableType:
    grid = Table.grid()  # a bar by itself does not end its line
    grid.add_row(ProgressBar(total=total or 1, completed=completed or 0, width=60))
    return grid


def _counted(view: EvaluationView) -> str:
    if not view.total:
        return view.message or "starting"
    return f"{view.answered} of {view.total} graded, {view.accepted} accepted"


def _number(value: float | int | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _duration(seconds: float | None) -> str:
    return "–" if seconds is None else str(timedelta(seconds=round(max(0.0, seconds))))
