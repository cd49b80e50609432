"""The ablation's plot: reward and entropy by step, and held-out pass@1, with every seed to be seen."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.ablation.results import Result

matplotlib.rcParams |= {"svg.hashsalt": "ablation", "svg.fonttype": "none", "font.size": 9}
WINDOW = 5  # steps that a curve's point is the mean of
COLORS = ("#0f62fe", "#da1e28", "#198038", "#8a3ffc", "#b28600", "#005d5d")


def draw(results: Sequence[Result], file: Path) -> None:
    """Write the SVG of `results` to `file`: the same results give the same file."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    reward, entropy, score = figure.subplots(1, 3, width_ratios=[3, 3, 2])
    names = list(dict.fromkeys(result.variant for result in results))
    for name, color in zip(names, COLORS, strict=False):
        mine = [result for result in results if result.variant == name]
        _curve(reward, [result.reward for result in mine], name, color)
        _curve(entropy, [result.entropy for result in mine], name, color)
    _scores(score, results, names)
    problems = max(result.problems for result in results)
    for axes, title in (
        (reward, "reward"),
        (entropy, "entropy, nats a token"),
        (score, f"held-out pass@1 of {problems}"),
    ):
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (reward, entropy):
        axes.set_xlabel(f"step (mean of {WINDOW})")
    reward.legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="svg", metadata={"Date": None})


def smoothed(values: Sequence[float | None], window: int = WINDOW) -> list[float | None]:
    """The mean of each value and those before it, at most `window`; None where none of them was measured."""
    found: list[float | None] = []
    for place in range(len(values)):
        known = [value for value in values[max(0, place - window + 1) : place + 1] if value is not None]
        found.append(statistics.fmean(known) if known else None)
    return found


def mean_by_step(curves: Sequence[Sequence[float | None]]) -> list[float | None]:
    """The mean over the curves that have a value there."""
    longest = max(len(curve) for curve in curves)
    at = [[curve[step] for curve in curves if step < len(curve)] for step in range(longest)]
    known = [[value for value in values if value is not None] for values in at]
    return [statistics.fmean(values) if values else None for values in known]


def _curve(axes: Axes, curves: Sequence[Sequence[float | None]], name: str, color: str) -> None:
    """Every seed thin, their mean thick."""
    for curve in (smooth := [smoothed(curve) for curve in curves]):
        axes.plot(*_points(curve), color=color, linewidth=0.6, alpha=0.45)
    axes.plot(*_points(mean_by_step(smooth)), color=color, linewidth=1.8, label=name)


def _points(curve: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """Steps from 1 and values, with a gap where there is none."""
    return list(range(1, len(curve) + 1)), [float("nan") if value is None else value for value in curve]


def _scores(axes: Axes, results: Sequence[Result], names: Sequence[str]) -> None:
    for place, (name, color) in enumerate(zip(names, COLORS, strict=False)):
        scores = [result.pass_at_1 for result in results if result.variant == name]
        axes.plot([place] * len(scores), scores, "o", color=color, alpha=0.45, markersize=4)
        axes.plot([place - 0.25, place + 0.25], [statistics.fmean(scores)] * 2, color=color, linewidth=1.8)
    axes.set_xticks(range(len(names)), names, rotation=25, ha="right")
    axes.set_xlim(-0.5, len(names) - 0.5)
