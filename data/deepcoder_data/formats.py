"""Which model a format's rows have, and how a row becomes a problem. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import ProblemFormat, Window
from deepcoder_data.deepcoder_preview import DeepCoderRow, deepcoder_problem
from deepcoder_data.human_eval import HumanEvalRow, human_eval_problem
from deepcoder_data.livecodebench import LiveCodeBenchRow, livecodebench_problem
from deepcoder_data.math_answers import MathRow, math_problem
from deepcoder_data.mbpp import MbppRow, mbpp_problem
from deepcoder_data.rows import LeftOut
from deepcoder_data.synthetic_1 import Synthetic1Row, synthetic_1_problem
from deepcoder_data.taco import TacoRow, taco_problem


@dataclass(frozen=True)
class RowFormat:
    """`problem` takes a row of `model` and the source's window. It raises RowError or pydantic.ValidationError."""

    model: type[BaseModel]
    problem: Callable[[Any, Window | None], Problem | LeftOut]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read of a table."""
        return frozenset(self.model.model_fields)


def _undated(problem: Callable[[Any], Problem | LeftOut]) -> Callable[[Any, Window | None], Problem | LeftOut]:
    return lambda row, window: problem(row)


FORMATS: MappingProxyType[ProblemFormat, RowFormat] = MappingProxyType(
    {
        "jsonl": RowFormat(Problem, _undated(lambda row: row)),
        "humaneval": RowFormat(HumanEvalRow, _undated(human_eval_problem)),
        "mbpp": RowFormat(MbppRow, _undated(mbpp_problem)),
        "taco": RowFormat(TacoRow, _undated(taco_problem)),
        "synthetic-1": RowFormat(Synthetic1Row, _undated(synthetic_1_problem)),
        "livecodebench": RowFormat(LiveCodeBenchRow, livecodebench_problem),
        "deepcoder": RowFormat(DeepCoderRow, _undated(deepcoder_problem)),
        "math": RowFormat(MathRow, _undated(math_problem)),
    }
)
