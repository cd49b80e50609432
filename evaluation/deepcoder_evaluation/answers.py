"""An answer of the measured model, graded; and the rows of samples.parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from deepcoder_api.grading import Verdict


@dataclass(frozen=True)
class Answer:
    """What the engine said. `finish_reason` is the engine's: stop or length. Seconds from asking to the last token."""

    text: str
    finish_reason: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float


@dataclass(frozen=True)
class GradedAnswer:
    """An answer to one problem with its verdict, and those of the tests that ran."""

    benchmark: str
    problem: str
    sample: int
    seed: int
    prompt: str
    answer: str
    finish_reason: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    verdict: Verdict
    test_verdicts: tuple[str, ...]
    detail: str

    @property
    def accepted(self) -> bool:
        """Whether every test passed."""
        return self.verdict is Verdict.ACCEPTED


SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("problem", pa.string()),
        ("sample", pa.int32()),
        ("seed", pa.int64()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("answer_tokens", pa.int32()),
        ("seconds", pa.float64()),
        ("verdict", pa.string()),
        ("test_verdicts", pa.list_(pa.string())),
        ("detail", pa.string()),
    ],
    metadata={"format": "deepcoder.dev/evaluation-samples/1"},
)
"""samples.parquet: one row an answer (deepcoder_api.artifacts); `test_verdicts` in the order of the tests that ran."""


def samples_table(answers: Sequence[GradedAnswer]) -> pa.Table:
    """The rows of samples.parquet, in the order of benchmark, problem and sample."""
    ordered = sorted(answers, key=lambda a: (a.benchmark, a.problem, a.sample))
    columns = {field.name: [_cell(answer, field.name) for answer in ordered] for field in SCHEMA}
    return pa.table(columns, schema=SCHEMA)


def _cell(answer: GradedAnswer, name: str) -> object:
    if name == "verdict":
        return answer.verdict.value
    return getattr(answer, name)
