"""A dataset's report as one page of HTML that needs nothing else: no script, no network, plots as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.artifacts import DatasetReport, Histogram
from deepcoder_data.report_pages import page_environment, short_number

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
    environment = page_environment("deepcoder_trainer", "preparation")
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
        found.append(Bar(place * width, HEIGHT - height, width, height, short_number(low), said))
    return found
