"""Answers as the account compares them, read from journal and samples files. Pure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow.parquet as pq


class Row(NamedTuple):
    """One answer that was trained on."""

    problem: str
    epoch: int
    answer: tuple[int, ...]
    reward: float
    verdict: str


COLUMNS = ("problem", "epoch", "answer_ids", "reward", "verdict")


def rows(content: bytes) -> list[Row]:
    """The answers of a parquet file of either kind, in its order."""
    table = pq.read_table(io.BytesIO(content), columns=list(COLUMNS)).to_pylist()
    return [Row(row["problem"], row["epoch"], tuple(row["answer_ids"]), row["reward"], row["verdict"]) for row in table]


def draws(found: Sequence[Row]) -> dict[tuple[str, int], int]:
    """How many answers each problem of each epoch has."""
    counted: dict[tuple[str, int], int] = {}
    for row in found:
        counted[row.problem, row.epoch] = counted.get((row.problem, row.epoch), 0) + 1
    return counted
