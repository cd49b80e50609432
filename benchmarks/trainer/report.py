"""The report: each part's figures under its name, and the figures with an aim at the top level. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure of the first level: the part it comes from, and what it should be, for people."""

    part: str
    key: str
    aim: str


FIGURES = (
    Figure("a", "seconds_to_080_trl_over_ours", "above 1"),
    Figure("a", "seconds_to_080_trl_over_ours_async", "above 1.5"),
    Figure("b", "async_over_limit", "0.9"),
    Figure("b", "async_over_sync", "above 1"),
    Figure("b", "async_keep_kv_over_limit", "0.9"),
    Figure("b", "async_keep_kv_over_sync", "above 1"),
    Figure("c", "weight_update_over_memcpy", ""),
    Figure("d", "idle_share", "under 0.1"),
    Figure("e", "peak_memory_slope", ""),
    Figure("f", "checkpoint_wait_share", "under 0.02"),
    Figure("g", "filter_over_dynamic_tokens", ""),
    Figure("g", "filter_training_over_dynamic_tokens", ""),
    Figure("h", "hopeless_filter_over_dynamic_tokens", ""),
    Figure("h", "hopeless_filter_training_over_dynamic_tokens", ""),
)


def report(parts: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]) -> dict[str, Any]:
    """What is written: figures of parts that were not measured are left out, and why a part failed is told."""
    first = {figure.key: parts[figure.part].get(figure.key) for figure in FIGURES if figure.part in parts}
    return {**first, "parts": dict(parts), **({"failed": dict(failed)} if failed else {})}


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The first level as texts for a table: figure, value, aim. A figure that could not be measured shows as a dash."""
    return [
        (figure.key, "-" if figures[figure.key] is None else f"{figures[figure.key]:g}", figure.aim)
        for figure in FIGURES
        if figure.key in figures
    ]
