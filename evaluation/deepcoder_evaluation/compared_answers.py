"""The answers of an evaluation as a comparison needs them: from its samples.parquet, by benchmark and problem."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from deepcoder_data.report_pages import end_of
from deepcoder_evaluation.folders import ResultFolder

COLUMNS = ("benchmark", "problem", "verdict", "answer_tokens", "detail", "answer")
ROWS_AT_ONCE = 64
LONGEST_END = 3_000


@dataclass(frozen=True)
class ComparedAnswer:
    """One answer; `end` is the last LONGEST_END characters of it, where the program is."""

    verdict: str
    tokens: int
    detail: str
    end: str


Answers = Mapping[str, Mapping[str, list[ComparedAnswer]]]
"""By benchmark, then by problem."""


def read_answers(folder: ResultFolder) -> Answers:
    """Read them, a few whole answers in memory at a time. Raises StoreError."""
    import pyarrow.parquet as pq  # slow to import, and only comparing needs it

    found: dict[str, dict[str, list[ComparedAnswer]]] = defaultdict(lambda: defaultdict(list))
    with pq.ParquetFile(io.BytesIO(folder.get("samples.parquet"))) as file:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(COLUMNS)):
            for benchmark, problem, verdict, tokens, detail, answer in zip(
                *(batch.column(name).to_pylist() for name in COLUMNS), strict=True
            ):
                one = ComparedAnswer(verdict, tokens, detail, end_of(answer, LONGEST_END))
                found[benchmark][problem].append(one)
    return found


def shares(answers: Mapping[str, list[ComparedAnswer]]) -> dict[str, float]:
    """The share of accepted answers by problem."""
    return {id: fmean(one.verdict == "accepted" for one in given) for id, given in answers.items()}
