"""Plots as places in a viewBox of WIDTH x HEIGHT; the page's template draws them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepcoder_api.evaluation_report import BenchmarkReport, GroupScore, LengthHistogram
from deepcoder_data.report_pages import short_number

WIDTH, HEIGHT = 560, 160


@dataclass(frozen=True)
class Bar:
    """A bar with a part of it in front, what stands under it, and what a pointer over it is told."""

    x: float
    width: float
    height: float
    front: float
    label: str
    said: str


@dataclass(frozen=True)
class Line:
    """A curve as an SVG path, with points that are marked: x, y and what is said of each."""

    path: str
    points: tuple[tuple[float, float, str], ...]
    longest: int


def length_bars(histogram: LengthHistogram) -> list[Bar]:
    """How long answers are; in front those that were accepted."""
    width = WIDTH / len(histogram.accepted)
    both = [sum(pair) for pair in zip(histogram.accepted, histogram.others, strict=True)]
    highest = max(both)
    found: list[Bar] = []
    for place, count in enumerate(both):
        accepted = histogram.accepted[place]
        low, high = histogram.edges[place], histogram.edges[place + 1] - 1
        said = f"{low:,} to {high:,} tokens: {count:,} answers, {accepted:,} accepted"
        heights = (HEIGHT * count / highest, HEIGHT * accepted / highest)
        found.append(Bar(place * width, width, *heights, short_number(low), said))
    return found


def bars_of_groups(groups: Mapping[str, GroupScore]) -> list[Bar]:
    """A bar for each group, the whole height being 100 %."""
    width = WIDTH / max(1, len(groups))
    return [
        Bar(
            x=place * width,
            width=width,
            height=0.0,
            front=HEIGHT * score.pass_at_1,
            label=name,
            said=f"{name}: {100 * score.pass_at_1:.1f} % of {score.problems} problems",
        )
        for place, (name, score) in enumerate(groups.items())
    ]


def budget_curve(report: BenchmarkReport) -> Line:
    """Share of answers that are accepted within a budget of tokens; the scored limits are points on it.

    The curve is of whole answers no longer than the budget, so that a point, where cut answers count too, may be above.
    """
    histogram = report.lengths
    longest = report.scores[-1].tokens if len(report.scores) > 1 else histogram.edges[-1]
    accepted, path = 0, [f"M 0 {HEIGHT}"]
    for place, count in enumerate(histogram.accepted):
        accepted += count
        x = WIDTH * min(1.0, histogram.edges[place + 1] / longest)
        path.append(f"L {x:.1f} {HEIGHT * (1 - accepted / report.samples):.1f}")
    points = tuple(
        (
            round(WIDTH * min(score.tokens, longest) / longest, 1),
            round(HEIGHT * (1 - score.pass_at_1), 1),
            f"{score.tokens:,} tokens: {100 * score.pass_at_1:.1f} %",
        )
        for score in report.scores
    )
    return Line(" ".join(path), points, longest)
