"""AIME: thirty questions a year whose answers are whole numbers from 0 to 999, compared by math-verify in the sandbox.

Rows in the layouts of the hub: HuggingFaceH4/aime_2024 (id, problem, answer, year), Maxwell-Jia/AIME_2024 (ID, Problem,
Answer), opencompass/AIME2025 (question, answer). DeepScaleR's measure is pass@1 as the mean of 16 answers,
`repeats: 16`; the prompt is DeepScaleR's too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Profile
from deepcoder_api.problems import Problem
from deepcoder_data.math_answers import MathRow, math_problem
from deepcoder_data.parquet_rows import is_parquet, read_parquet
from deepcoder_data.readers import BadRow, read_rows
from deepcoder_evaluation.benchmarks.kind import BenchmarkKind, Row

# Leading zeros as on the answer sheet; a row of AIME 2025 has its degrees.
_ANSWER = re.compile(r"\$?0*(\d{1,3})(?:\.0+)?(?:\^\{?\\circ\}?)?\$?")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")


class AimeRow(BaseModel):
    """A question with its answer. `id` and `url` may name the year where no column does."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    problem: str = Field(min_length=1, validation_alias=AliasChoices("problem", "Problem", "question", "Question"))
    answer: str = Field(min_length=1, validation_alias=AliasChoices("answer", "Answer"))
    id: str | None = Field(default=None, validation_alias=AliasChoices("id", "ID"))
    year: str | None = Field(default=None, validation_alias=AliasChoices("year", "Year"))
    url: str | None = None


_NAMES = ("problem", "question", "answer", "id", "year", "url")
COLUMNS = frozenset(_NAMES) | {name.title() for name in _NAMES} | {"ID"}


def aime_problem(row: AimeRow) -> Problem:
    """The problem of a row. Raises ValueError for an answer that is none of the AIME's."""
    found = _ANSWER.fullmatch(row.answer.strip())
    if found is None:
        raise ValueError(f"answer: must be a whole number from 0 to 999, not {row.answer[:40]!r}")
    problem = math_problem(MathRow(problem=row.problem, answer=str(int(found[1]))))
    year = _YEAR.search(row.year or row.id or "") or _YEAR.search(row.url or "")
    # Files of several years count from the same number each.
    counted = f"{year[1]}/{row.id}" if year and row.id and row.id.isdecimal() else row.id
    return problem.model_copy(
        update={
            "id": f"aime/{counted}" if counted else problem.id.replace("math/", "aime/"),
            "source": "aime",
            "metadata": {"year": year[1]} if year else {},
        }
    )


class Aime(BenchmarkKind):
    """Scores are also by year, which speaks of questions seen in training."""

    name = "aime"

    def rows(self, benchmark: Benchmark, file: Path, uri: str, name: str) -> Iterator[Row]:
        raw = read_parquet(file, uri, COLUMNS) if is_parquet(file) else read_rows(file, uri)
        for number, row in raw:
            match row.reason if isinstance(row, BadRow) else _problem(row):
                case Problem() as problem:
                    yield problem
                case reason:
                    yield BadRow(number, reason, name)

    def extraction(self, profile: Profile) -> str:
        return "last-boxed"


def _problem(row: bytes | dict[str, Any]) -> Problem | str:
    """The problem, or why there is none."""
    try:
        return aime_problem(AimeRow.model_validate_json(row) if isinstance(row, bytes) else AimeRow.model_validate(row))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except ValueError as error:
        return str(error)


KIND = Aime()
