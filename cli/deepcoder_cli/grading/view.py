"""How grading looks in a terminal: a bar while it goes on, tables at its end. Pure but for rich's objects."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from deepcoder_api.grading import Verdict
from deepcoder_cli.grading.report import AnswerReport, GradingReport
from deepcoder_cli.progress import EvaluationView, line

SLOWEST = 5
MOST_FAILURES = 20
LINES = 10
_STYLES = {Verdict.ACCEPTED: "green", Verdict.NO_PROGRAM: "yellow", Verdict.INTERNAL_ERROR: "magenta"}


class GradingProgress:
    """A bar in a terminal, some ten lines elsewhere. Use as a context manager; `add` each answer as it is graded."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done = self._accepted = 0
        self._bar = Progress(
            TextColumn("grading"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("[green]{task.fields[accepted]} accepted"),
            TextColumn("[dim]time left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("grading", total=total, accepted=0)

    def __enter__(self) -> GradingProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def add(self, report: AnswerReport) -> None:
        """One more answer is graded, or given up."""
        self._done += 1
        self._accepted += report.accepted
        self._bar.update(self._task, completed=self._done, accepted=self._accepted)
        tenth = self._done * LINES // self._total != (self._done - 1) * LINES // self._total
        if tenth and not self._console.is_terminal:
            view = EvaluationView("grading", self._done, self._total, self._accepted)
            self._console.print(line(view), highlight=False, markup=False)


def summary(report: GradingReport) -> RenderableType:
    """Counts, pass@1, the slowest answers, and the problems with failures."""
    parts: list[RenderableType] = []
    if failures := _failures(report):
        parts += [_title("not accepted"), failures]
    if slowest := _slowest(report.results):
        parts += [_title("slowest"), slowest]
    return Group(*parts, _title("verdicts"), _verdicts(report))


def _title(text: str) -> RenderableType:
    return Rule(Text(text, style="bold"), align="left", style="dim")


def _verdicts(report: GradingReport) -> RenderableType:
    table = _table("right", "left", "right")
    for name, count in report.verdicts.items():
        table.add_row(str(count), _verdict(Verdict(name)), f"{count / report.answers:.1%}")
    if report.not_graded:
        table.add_row(
            str(report.not_graded), Text("not graded", style="bold red"), f"{report.not_graded / report.answers:.1%}"
        )
    score = "–, as not every answer was graded" if report.pass_at_1 is None else f"{report.pass_at_1:.4g}"
    unanswered = report.problems - report.problems_answered
    over = f" over {report.problems_answered} problems" + (f", {unanswered} have no answer" if unanswered else "")
    line = Text.assemble(("pass@1 ", "bold"), (score, "bold"), over, f", {report.answers} answers")
    return Group(table, Text(), line)


def _slowest(results: Sequence[AnswerReport]) -> RenderableType | None:
    ran = sorted((one for one in results if one.tests), key=lambda one: -one.wall_seconds)[:SLOWEST]
    if not ran:
        return None
    table = _table("left", "right", "right", "left")
    for one in ran:
        size = f"{one.memory_mib:.0f} MiB"
        table.add_row(Text(_name(one)), f"{one.wall_seconds:.2f} s", size, _verdict(one.verdict))
    return table


def _failures(report: GradingReport) -> RenderableType | None:
    """A line for each problem with an answer that was not accepted, with the first such answer's detail."""
    groups: dict[str, list[AnswerReport]] = {}
    for one in report.results:
        groups.setdefault(one.problem, []).append(one)
    failed = [(group, next(one for one in group if not one.accepted)) for group in groups.values()
              if not all(one.accepted for one in group)]  # fmt: skip
    if not failed:
        return None
    table = _table("left", "right", "left", "left")
    for group, first in failed[:MOST_FAILURES]:
        accepted = f"{sum(one.accepted for one in group)} of {len(group)}"
        why = Text(first.error or first.detail, no_wrap=True, overflow="ellipsis")
        table.add_row(Text(first.problem), accepted, _verdict(first.verdict), why)
    if len(failed) > MOST_FAILURES:
        table.add_row(Text(f"and {len(failed) - MOST_FAILURES} more problems", style="dim"))
    return table


def _table(*columns: JustifyMethod) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for justify in columns[:-1]:
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(justify=columns[-1])  # gives way where the terminal is narrow
    return table


def _name(one: AnswerReport) -> str:
    return f"{one.problem} #{one.index}"


def _verdict(verdict: Verdict | None) -> Text:
    if verdict is None:
        return Text("not graded", style="bold red")
    return Text(verdict.value, style=_STYLES.get(verdict, "red"))
