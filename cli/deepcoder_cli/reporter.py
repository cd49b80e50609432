"""How a local run tells of itself: a table drawn again and again in a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_cli.progress import EvaluationView, RunView, advance_text, line, render

LINES_PER_EVALUATION = 10


class Reporter:
    """Says sentences and shows progress on one console. What has not changed is not said again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown = ""

    def say(self, name: str, text: str, style: str = "") -> None:
        """One sentence on one resource."""
        self._console.print(f"[bold]{escape(name)}[/bold]: {_styled(text, style)}")

    def warn(self, text: str) -> None:
        """Something that nobody should overlook."""
        self._console.rule(style="bold yellow")
        self._console.print(_styled(f"WARNING: {text}", "bold yellow"))
        self._console.rule(style="bold yellow")

    def refuse(self, text: str) -> None:
        """Why nothing was started, or what ended it."""
        self._console.print(_styled(text, "red"))

    @contextmanager
    def showing(self) -> Iterator[None]:
        """In a terminal, progress stays on the last lines while inside."""
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            try:
                yield
            finally:
                self._live, self._shown = None, ""

    def show(self, view: RunView | EvaluationView) -> None:
        """The newest progress."""
        if self._console.is_terminal and self._live is not None:
            self._live.update(render(view), refresh=True)
            return
        text = line(view)
        if _news(view) != self._shown:
            self._shown = _news(view)
            self._console.print(escape(text))


def run_view(name: str, progress: Progress) -> RunView:
    """What people want to see of an orchestrator's progress."""
    left, validation, best = None, progress.validation, progress.best_checkpoint
    if progress.seconds_per_step is not None:
        left = progress.seconds_per_step * (progress.total_steps - progress.step)
    return RunView(
        name=name,
        phase=progress.state,
        stage=progress.stage,
        step=progress.step,
        total_steps=progress.total_steps,
        reward=progress.reward,
        truncated_fraction=progress.truncated_fraction,
        tokens_per_second=progress.tokens_per_second,
        seconds_left=left,
        policy_version=progress.policy_version,
        attempt=progress.attempt,
        checkpoint=progress.checkpoint_uri,
        validation=(validation.step, validation.score) if validation else None,
        best_checkpoint=(best.uri, best.score) if best else None,
        advances=tuple(advance_text(one.stage, one.step, one.reason) for one in progress.advances),
        message=progress.message,
    )


def evaluation_view(name: str, progress: EvaluationProgress) -> EvaluationView:
    """What people want to see of an evaluator's progress."""
    return EvaluationView(name, progress.answered, progress.total, progress.passed, progress.message)


def _news(view: RunView | EvaluationView) -> str:
    """What makes a line worth another: a new step, or a tenth of the answers."""
    if isinstance(view, RunView):
        return f"{view.name} {view.attempt} {view.step}"
    return f"{view.name} {view.answered * LINES_PER_EVALUATION // max(1, view.total)}"


def _styled(text: str, style: str) -> str:
    return f"[{style}]{escape(text)}[/{style}]" if style else escape(text)
