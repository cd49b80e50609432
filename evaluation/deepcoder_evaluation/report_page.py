"""An evaluation's report as one page of HTML that needs nothing else: no network, plots as inline SVG.

A little script of its own filters the answers; without it the page shows all scores. Of each answer its end is shown,
where the program is, within a bound on the page's size; the whole is in samples.parquet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from deepcoder_api.evaluation_report import BenchmarkReport, EvaluationReport
from deepcoder_data.report_pages import end_of, page_environment
from deepcoder_evaluation.plots import Line, bars_of_groups, budget_curve, length_bars
from deepcoder_evaluation.records import AnswerRecord, GradeRecord, Place
from deepcoder_evaluation.reference_rows import ReferenceRow, reference_rows
from deepcoder_evaluation.scoring import groups_of

PAGE_CHARACTERS = 24_000_000
LONGEST_END = 6_000


class PageAnswers:
    """What the page shows of each answer. `count` is how many there will be, by which each end's length is chosen."""

    def __init__(self, count: int) -> None:
        self._longest = min(LONGEST_END, PAGE_CHARACTERS // max(1, count))
        self.found: list[dict[str, Any]] = []

    def add(self, place: Place, record: AnswerRecord, grades: GradeRecord) -> None:
        """Take up an answer."""
        final = grades.grades[-1]
        self.found.append(
            {
                "benchmark": place.benchmark,
                "problem": place.problem.id,
                "groups": " · ".join(groups_of(place.problem).values()),
                "repeat": place.repeat,
                "sample": place.sample,
                "verdict": final.verdict.value,
                "at": {str(one.tokens): one.verdict.value for one in grades.grades},
                "tests": f"{sum(test == 'accepted' for test in final.test_verdicts)}/{len(place.problem.tests)}",
                "detail": final.detail,
                "tokens": record.answer_tokens,
                "seconds": round(record.seconds, 1),
                "finish": record.finish_reason,
                "prompt": record.prompt[: self._longest],
                "answer": end_of(record.text, self._longest),
            }
        )


@dataclass(frozen=True)
class BenchmarkView:
    """One benchmark as the template draws it."""

    report: BenchmarkReport
    references: tuple[ReferenceRow, ...]
    curve: Line
    lengths: list[Any]
    months: list[Any]


def report_environment() -> jinja2.Environment:
    """The environment of an evaluation's pages, with the filter `percent`."""
    environment = page_environment("deepcoder_evaluation", "templates")
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    return environment


def page_data(rows: list[dict[str, Any]]) -> Markup:
    """Rows as JSON that nothing in them can lead out of a script element."""
    # Within a script element only "<" could end it.
    return Markup(json.dumps(rows, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def report_page(report: EvaluationReport, answers: list[dict[str, Any]]) -> str:
    """The page."""
    views = [
        BenchmarkView(
            report=one,
            references=reference_rows(one.kind),
            curve=budget_curve(one),
            lengths=length_bars(one.lengths),
            months=bars_of_groups(one.final.groups.get("month", {})),
        )
        for one in report.benchmarks
    ]
    return (
        report_environment()
        .get_template("report.html.jinja")
        .render(report=report, views=views, data=page_data(answers))
    )
