"""samples.parquet: one row an answer with its text, ids and verdicts, written from the records a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.measurement import Measurement, places
from deepcoder_evaluation.records import AnswerRecord, GradeRecord, Place

ROWS_AT_ONCE = 32
Judged = tuple[Place, AnswerRecord, GradeRecord]

SHORTER = pa.struct(
    [
        ("context_length", pa.int32()),
        ("finish_reason", pa.string()),
        ("verdict", pa.string()),
        ("test_verdicts", pa.list_(pa.string())),
        ("detail", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("problem", pa.string()),
        ("repeat", pa.int32()),
        ("sample", pa.int32()),
        ("seed", pa.int64()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("answer_ids", pa.list_(pa.uint32())),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("answer_tokens", pa.int32()),
        ("seconds", pa.float64()),
        ("context_length", pa.int32()),
        ("exact", pa.bool_()),
        ("verdict", pa.string()),
        ("test_verdicts", pa.list_(pa.string())),
        ("detail", pa.string()),
        ("shorter", pa.list_(SHORTER)),
    ],
    metadata={"format": "deepcoder.dev/evaluation-samples/2"},
)
"""Columns are described in deepcoder_api.artifacts; `test_verdicts` are in the order of the tests that ran."""


async def write_samples(
    measurement: Measurement, benchmarks: Sequence[LoadedBenchmark], file: Path, see: Callable[[Judged], None]
) -> None:
    """All answers, in the order of benchmark, problem, repeat and sample; `see` is called with each.

    Raises StoreError, or ValueError when a record has gone meanwhile.
    """
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        async for some in _judged(measurement, benchmarks):
            for one in some:
                see(one)
            writer.write_table(samples_table(some))


def samples_table(judged: Sequence[Judged]) -> pa.Table:
    """The rows of some answers."""
    rows = [_row(*one) for one in judged]
    return pa.table({name: [row[name] for row in rows] for name in SCHEMA.names}, schema=SCHEMA)


async def _judged(measurement: Measurement, benchmarks: Sequence[LoadedBenchmark]) -> AsyncIterator[list[Judged]]:
    for loaded in benchmarks:
        ordered = sorted(places(measurement.job, loaded), key=lambda one: (one.problem.id, one.repeat, one.sample))
        for start in range(0, len(ordered), ROWS_AT_ONCE):
            some = ordered[start : start + ROWS_AT_ONCE]
            yield list(await asyncio.gather(*(_read(measurement, loaded, place) for place in some)))


async def _read(measurement: Measurement, loaded: LoadedBenchmark, place: Place) -> Judged:
    found = await measurement.read(loaded, place)
    if found is None:
        raise ValueError(f"the record of problem {place.problem.id!r} of {place.benchmark!r} has gone from the store")
    return place, *found


def _row(place: Place, record: AnswerRecord, grades: GradeRecord) -> dict[str, Any]:
    *shorter, final = grades.grades
    return {
        **{name: getattr(record, name) for name in SCHEMA.names if hasattr(record, name) and name != "answer"},
        "answer": record.text,
        "answer_ids": record.answer.ids,
        "finish_reason": final.finish_reason,
        "context_length": final.tokens,
        "exact": all(one.exact for one in grades.grades),
        "verdict": final.verdict.value,
        "test_verdicts": list(final.test_verdicts),
        "detail": final.detail,
        "shorter": [
            {
                "context_length": one.tokens,
                "finish_reason": one.finish_reason,
                "verdict": one.verdict.value,
                "test_verdicts": list(one.test_verdicts),
                "detail": one.detail,
            }
            for one in shorter
        ],
    }
