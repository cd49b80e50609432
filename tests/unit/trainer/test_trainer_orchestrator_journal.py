"""The journal's file."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from deepcoder_api.artifacts import SAMPLE_COLUMNS
from deepcoder_api.grading import Verdict
from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.journal import from_parquet, to_parquet, to_table
from deepcoder_trainer.samples import GradedBatch, Replaced
from tests.orchestrator_builders import sample


def test_a_batch_comes_back_as_it_was_written() -> None:
    """Every field of every sample, in order: text with any character, verdicts, float32 values, exact advantages."""
    batch = [
        sample(),
        sample(group=1, epoch=3, answer="ünïcode \x00 \U0001f600", verdict=Verdict.NO_PROGRAM, test_verdicts=()),
        sample(group=1, finish_reason="length", reward=0.0, advantage=-1 / 3, verdict=Verdict.TIME_LIMIT),
    ]
    replaced = [Replaced("ünïcode\x00", 2, 1.0), Replaced("b", 0, 0.0)]
    assert from_parquet(to_parquet(GradedBatch(batch, replaced))) == GradedBatch(batch, replaced)


def test_a_file_of_before_groups_were_replaced_is_read_as_it_is() -> None:
    """Its metadata does not speak of any."""
    table = to_table([sample()]).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert from_parquet(buffer.getvalue()) == GradedBatch([sample()], [])


def test_the_columns_are_those_that_the_storage_layout_names() -> None:
    """Columns of samples first, then group and advantage."""
    names = pq.read_schema(io.BytesIO(to_parquet(GradedBatch([sample()])))).names
    assert tuple(names) == (*SAMPLE_COLUMNS, "group", "advantage")


def test_something_else_in_its_place_is_refused() -> None:
    """Bytes that are no parquet file are a failure that another attempt would meet again."""
    with pytest.raises(RunChanged, match="no journal file"):
        from_parquet(b"not parquet")
