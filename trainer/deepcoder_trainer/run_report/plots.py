"""Lines over steps as points in a plot's viewBox, with ticks and what a pointer is told. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepcoder_api.artifacts import ReportStage, StepFigures

WIDTH, HEIGHT = 560, 200
"""Of a plot, in units of its viewBox; the page scales it."""
SMALLEST_RANGE = 1e-300
"""Of an axis; what differs by less is one number."""
MOST_PLACES = 280
"""Places over which a pointer is told something; more steps share a place."""

Value = Callable[[StepFigures], float | None]


@dataclass(frozen=True)
class Series:
    """One line: `points` are x,y pairs as SVG has them, a part for each run of steps that have a value."""

    name: str
    parts: tuple[str, ...]
    last: str


@dataclass(frozen=True)
class Tick:
    """A number beside an axis, at its place in the viewBox."""

    at: float
    label: str


@dataclass(frozen=True)
class Place:
    """A strip of the plot and what a pointer over it is told."""

    x: float
    width: float
    said: str


@dataclass(frozen=True)
class Plot:
    """Lines over the steps of a run, with the steps where stages begin."""

    title: str
    unit: str
    series: tuple[Series, ...]
    ticks: tuple[Tick, ...]
    step_ticks: tuple[Tick, ...]
    stages: tuple[Tick, ...]
    places: tuple[Place, ...]


def plot(
    title: str,
    unit: str,
    lines: Sequence[tuple[str, Value]],
    steps: Sequence[StepFigures],
    stages: Sequence[ReportStage],
    *,
    highest: float | None = None,
) -> Plot | None:
    """Lines from zero up over `steps`, in order; None when no step has a value. highest: of the axis, at least."""
    values = [[_finite(value(figures)) for figures in steps] for _, value in lines]
    known = [value for line in values for value in line if value is not None]
    if not known:
        return None
    ticks = axis(min(0.0, *known), max(highest or 0.0, *known))
    low, high = ticks[0], ticks[-1]
    first, last = steps[0].step, steps[-1].step

    def x(step: int) -> float:
        return WIDTH * (step - first) / max(1, last - first)

    def y(value: float) -> float:
        return HEIGHT * (1 - (value - low) / (high - low))

    series = tuple(
        Series(name, _parts([(x(f.step), y(v)) if v is not None else None for f, v in zip(steps, line, strict=True)]),
               next((short(value) for value in reversed(line) if value is not None), "–"))
        for (name, _), line in zip(lines, values, strict=True)
    )  # fmt: skip
    return Plot(
        title=title,
        unit=unit,
        series=series,
        ticks=tuple(Tick(y(value), short(value)) for value in ticks),
        step_ticks=tuple(Tick(x(step), f"{step:,}") for step in _step_ticks(first, last)),
        stages=tuple(Tick(x(s.first_step), s.name) for s in stages if first < s.first_step <= last),
        places=_places([name for name, _ in lines], values, steps, x),
    )


def axis(low: float, high: float) -> list[float]:
    """Two to seven round numbers, 1, 2 or 5 times a power of ten apart, that hold `low` to `high`, each its own."""
    if high - low < SMALLEST_RANGE:
        high = low + 1.0
    rough = (high - low) / 4
    exponent = math.floor(math.log10(rough))
    power = 10.0**exponent
    width = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * (1 - 1e-9))
    start, end = math.floor(low / width + 1e-9), math.ceil(high / width - 1e-9)
    return [round(width * place, 1 - exponent) for place in range(start, end + 1)]


def short(value: float) -> str:
    """A number as it is written beside an axis: 0.25, 950, 16.4k, 2.5M, 3.0e-05."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= power:
            return f"{value / (1e3 if letter == 'k' else power):.3g}{letter}"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _parts(points: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    """Runs of points without a gap. One alone is drawn as a dot: a line from itself to itself."""
    parts: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is not None:
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    filled = [part * 2 if len(part) == 1 else part for part in parts if part]
    return tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in part) for part in filled)


def _step_ticks(first: int, last: int) -> list[int]:
    inner = [int(step) for step in axis(first, last) if first < step < last and step == int(step)]
    room = (last - first) / 12
    return [first, *(step for step in inner if step - first > room and last - step > room), *([last] * (last > first))]


def _places(
    names: Sequence[str], values: Sequence[Sequence[float | None]], steps: Sequence[StepFigures],
    x: Callable[[int], float],
) -> tuple[Place, ...]:  # fmt: skip
    stride = -(-len(steps) // MOST_PLACES)
    found: list[Place] = []
    for start in range(0, len(steps), stride):
        figures = steps[start]
        said = [f"step {figures.step} ({figures.stage})"]
        said += [
            f"{name} {short(v)}" for name, line in zip(names, values, strict=True) if (v := line[start]) is not None
        ]
        following = steps[start + stride].step if start + stride < len(steps) else figures.step + stride
        left = x(figures.step)
        found.append(Place(left, max(2.0, x(following) - left), ", ".join(said)))
    return tuple(found)
