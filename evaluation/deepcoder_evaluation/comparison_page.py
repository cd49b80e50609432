"""Two evaluations compared as one page of HTML that needs nothing else: differences, and every problem side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_evaluation.compared_answers import Answers, shares
from deepcoder_evaluation.comparison import Comparison, Flip, flip
from deepcoder_evaluation.plots import WIDTH
from deepcoder_evaluation.report_page import page_data, report_environment

LEAST_REACH = 0.02
"""The axis of a difference reaches at least so far on either side."""
PARTS = {"both": "by both", "gained": "by B alone", "lost": "by A alone", "neither": "by neither"}


@dataclass(frozen=True)
class Part:
    """A part of the bar of all problems: those that were solved by both, by one alone or by neither."""

    kind: Flip
    x: float
    width: float
    label: str
    said: str


@dataclass(frozen=True)
class ComparedBenchmark:
    """One benchmark as the template draws it; `reach` is how far its axis goes on either side of no difference."""

    name: str
    found: Comparison
    reach: float
    low: float
    middle: float
    high: float
    parts: list[Part]

    @property
    def verdict(self) -> str:
        """Whether the difference is to be believed."""
        return "more than noise" if self.found.is_more_than_noise else "no more than noise"


def comparison_page(
    reports: tuple[EvaluationReport, EvaluationReport],
    comparisons: Mapping[str, Comparison],
    answers: tuple[Answers, Answers],
    warnings: Sequence[str],
) -> str:
    """The page. `comparisons` by benchmark are those of `answers`."""
    environment = report_environment()
    environment.filters["signed"] = lambda value: f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return environment.get_template("comparison.html.jinja").render(
        first=reports[0],
        second=reports[1],
        views=[_view(name, found) for name, found in comparisons.items()],
        warnings=warnings,
        data=page_data([row for name in comparisons for row in problem_rows(name, answers[0][name], answers[1][name])]),
    )


def problem_rows(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the page's list has of each problem that both answered."""
    in_first, in_second = shares(first), shares(second)
    return [
        {
            "benchmark": name,
            "problem": id,
            "kind": flip(in_first[id], in_second[id]),
            "a": in_first[id],
            "b": in_second[id],
            **{
                key: [{**asdict(one), "answer": one.end} for one in its[id]]
                for key, its in (("first", first), ("second", second))
            },
        }
        for id in sorted(in_first.keys() & in_second.keys())
    ]


def _view(name: str, found: Comparison) -> ComparedBenchmark:
    reach = max(LEAST_REACH, *(abs(end) for end in found.interval))
    low, middle, high = (
        round(WIDTH / 2 * (1 + value / reach), 1) for value in (found.interval[0], found.difference, found.interval[1])
    )
    return ComparedBenchmark(name, found, reach, low, middle, high, _parts(found))


def _parts(found: Comparison) -> list[Part]:
    counts: dict[Flip, int] = {
        "both": found.both,
        "gained": len(found.gained),
        "lost": len(found.lost),
        "neither": found.neither,
    }
    parts: list[Part] = []
    x = 0.0
    for kind, count in counts.items():
        width = WIDTH * count / found.problems
        parts.append(Part(kind, round(x, 1), round(width, 1), PARTS[kind], f"{count:,} {PARTS[kind]}"))
        x += width
    return parts
