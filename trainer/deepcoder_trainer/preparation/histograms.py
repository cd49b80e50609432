"""Whole numbers into bins that people can read: edges of 1, 2 or 5 times a power of ten, or doubling. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import count

from deepcoder_api.artifacts import Histogram

MOST_BINS = 20
DOUBLING_SPREAD = 500
"""When the largest value is this many times the smallest, equal bins would put nearly all values into one."""


def histogram(name: str, unit: str, values: Sequence[int]) -> Histogram:
    """At most 20 equal bins, or bins that double where the spread is large. `values` are not negative; at least one."""
    lowest, highest = min(values), max(values)
    edges = _doubling(lowest, highest) if highest > DOUBLING_SPREAD * max(1, lowest) else _equal(lowest, highest)
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[bisect_right(edges, value) - 1] += 1
    return Histogram(
        name=name,
        unit=unit,
        edges=tuple(edges),
        counts=tuple(counts),
        minimum=lowest,
        median=statistics.median(values),
        mean=round(statistics.fmean(values), 3),
        maximum=highest,
    )


def _equal(lowest: int, highest: int) -> list[int]:
    width = next(step for step in _steps() if highest // step - lowest // step < MOST_BINS)
    start, end = lowest // width * width, (highest // width + 1) * width
    return list(range(start, end + 1, width))


def _doubling(lowest: int, highest: int) -> list[int]:
    edges = [0] if lowest == 0 else [1 << (lowest.bit_length() - 1)]
    while edges[-1] <= highest:
        edges.append(max(1, 2 * edges[-1]))
    return edges


def _steps() -> Iterator[int]:
    for power in count():
        for digit in (1, 2, 5):
            yield digit * 10**power
