"""A dataset's report as one page of HTML that needs nothing else: no script, no network, plots as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from deepcoder_api.artifacts import DatasetReport, Histogram

REPORT_PAGE = "report.html"
WIDTH, HEIGHT = 560, 160
"""Of a plot, in units of its viewBox; the page scales it."""


@dataclass(frozen=True)
class Bar:
    """One bin of a plot: its place in the viewBox, and what a pointer over it is told."""

    x: float
    y: float
    width: float
    height: float
    label: str
    said: str


def report_page(report: DatasetReport) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("deepcoder_trainer", "preparation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    rated = report.difficulty.accepted if report.difficulty else None
    plots = [(one, bars(one)) for one in (*report.histograms, *([rated] if rated else []))]
    return environment.get_template("report.html.jinja").render(report=report, plots=plots, width=WIDTH, height=HEIGHT)


def bars(histogram: Histogram) -> list[Bar]:
    """The bars of a histogram, the highest as high as the plot; every bin that is not empty can be seen."""
    width = WIDTH / len(histogram.counts)
    highest = max(histogram.counts)
    found: list[Bar] = []
    for place, count in enumerate(histogram.counts):
        low, high = histogram.edges[place], histogram.edges[place + 1] - 1
        height = max(1.0, HEIGHT * count / highest) if count else 0.0
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        said = f"{span} {histogram.unit}: {count:,} problems"
        found.append(Bar(place * width, HEIGHT - height, width, height, _short(low), said))
    return found


def _short(value: int) -> str:
    """A number as it is written under a bar: 950, 1k, 2.5M."""
    for power, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= power:
            return f"{value / power:.3g}{letter}"
    return str(value)
