"""The journal: graded batches as parquet, durable before the update that uses them, so that a resume can replay them.

One object a step, written once: whoever writes first wins, and a later writer of the same step takes up what is there.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from deepcoder_api.artifacts import SAMPLE_COLUMNS, RunPaths
from deepcoder_api.grading import Verdict
from deepcoder_data.store import ConflictError, ObjectStore
from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.storage import stored
from deepcoder_trainer.samples import FinishReason, GradedBatch, Replaced, Sample

JOURNAL_SCHEMA = pa.schema(
    [
        ("problem", pa.string()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("answer_ids", pa.list_(pa.int32())),
        ("log_probabilities", pa.list_(pa.float32())),
        ("versions", pa.list_(pa.int32())),
        ("finish_reason", pa.string()),
        ("verdict", pa.string()),
        ("test_verdicts", pa.list_(pa.string())),
        ("reward", pa.float64()),
        ("epoch", pa.int32()),
        ("group", pa.int32()),
        ("advantage", pa.float64()),
    ]
)
REPLACED = b"replaced"
"""Key of the file's own metadata: problem, epoch and reward of each group that was replaced, as JSON."""
_NAME = re.compile(r"/journal/step-(\d+)\.parquet$")


@dataclass(frozen=True)
class Journal:
    """The journal and the samples of one run."""

    store: ObjectStore
    paths: RunPaths

    async def steps(self) -> list[int]:
        """The steps whose batches are durable, in order."""
        folder = f"{self.paths.root}/journal"
        found = await stored(lambda: [entry.uri for entry in self.store.list(folder)], "list the journal")
        return sorted(int(match[1]) for uri in found if (match := _NAME.search(uri)))

    async def write(self, step: int, batch: GradedBatch) -> GradedBatch:
        """Make the batch of `step` durable and return what is: another attempt's batch when that came first."""
        uri = self.paths.journal(step)

        def put() -> bool:
            try:
                self.store.put_bytes(uri, to_parquet(batch), if_absent=True)
            except ConflictError:
                return False
            return True

        if await stored(put, f"write the journal of step {step}"):
            return batch
        return await self.read(step)

    async def read(self, step: int) -> GradedBatch:
        """The durable batch of `step`."""
        uri = self.paths.journal(step)
        content = await stored(lambda: self.store.get_bytes(uri), f"read the journal of step {step}")
        return from_parquet(content)

    async def write_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """The answers of `step` for people and analysis: the same rows in the columns of SAMPLE_COLUMNS."""

        def put() -> None:
            self.store.put_bytes(self.paths.samples(step), to_samples_parquet(samples))

        await stored(put, f"write the samples of step {step}")

    async def remove_through(self, step: int) -> None:
        """Delete the entries of steps up to `step`: no checkpoint that stays needs them."""
        for old in await self.steps():
            if old <= step:
                uri = self.paths.journal(old)
                await stored(lambda uri=uri: self.store.delete(uri), f"delete {uri}")


def to_table(samples: Sequence[Sample]) -> pa.Table:
    """One row a sample, in their order."""
    attributes = ["problem_id" if name == "problem" else name for name in JOURNAL_SCHEMA.names]
    columns = [[getattr(sample, attribute) for sample in samples] for attribute in attributes]
    return pa.table(columns, schema=JOURNAL_SCHEMA)


def to_parquet(batch: GradedBatch) -> bytes:
    """The journal file of a batch. Log-probabilities are kept as float32, which is what the sampler computes."""
    replaced = json.dumps([astuple(one) for one in batch.replaced]).encode()
    return _encoded(to_table(batch.samples).replace_schema_metadata({REPLACED: replaced}))


def to_samples_parquet(samples: Sequence[Sample]) -> bytes:
    """The samples file of a batch: the columns of SAMPLE_COLUMNS."""
    return _encoded(to_table(samples).select(list(SAMPLE_COLUMNS)))


def from_parquet(content: bytes) -> GradedBatch:
    """The batch of a journal file. Raises RunChanged when it is not one."""
    try:
        table = pq.read_table(io.BytesIO(content), schema=JOURNAL_SCHEMA)
        metadata = pq.read_schema(io.BytesIO(content)).metadata or {}
    except pa.ArrowException as error:
        raise RunChanged(f"this is no journal file: {error}") from error
    replaced = [Replaced(*fields) for fields in json.loads(metadata.get(REPLACED, b"[]"))]
    return GradedBatch([_sample(row) for row in table.to_pylist()], replaced)


def _sample(row: dict) -> Sample:
    finish_reason: FinishReason = "length" if row["finish_reason"] == "length" else "stop"
    return Sample(
        problem_id=row["problem"],
        prompt=row["prompt"],
        answer=row["answer"],
        prompt_ids=tuple(row["prompt_ids"]),
        answer_ids=tuple(row["answer_ids"]),
        log_probabilities=tuple(row["log_probabilities"]),
        versions=tuple(row["versions"]),
        finish_reason=finish_reason,
        verdict=Verdict(row["verdict"]),
        test_verdicts=tuple(Verdict(verdict) for verdict in row["test_verdicts"]),
        reward=row["reward"],
        group=row["group"],
        advantage=row["advantage"],
        epoch=row["epoch"],
    )


def _encoded(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
