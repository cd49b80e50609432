"""What one run of the ablation came to, kept in a file of its own so that it is not run again."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from deepcoder_api.artifacts import RunReport
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.problems import Strict, canonical_json


class Result(Strict):
    """One variant with one seed. Lists have one value a step; absent ones were not measured in that step."""

    variant: str
    seed: int
    specification: str = Field(description="The documents that were run, as one line of JSON: others are another run.")
    reward: list[float]
    entropy: list[float | None]
    truncated: list[float]
    pass_at_1: float = Field(description="Of the held-out problems, greedily, after the last step.")
    problems: int
    seconds: float


def result_of(
    variant: str, seed: int, specification: str, report: RunReport, evaluation: EvaluationReport, seconds: float
) -> Result:
    """The figures of a run's report and of its evaluation's."""
    (benchmark,) = evaluation.benchmarks
    return Result(
        variant=variant,
        seed=seed,
        specification=specification,
        reward=[step.reward for step in report.steps],
        entropy=[step.training.get("entropy") for step in report.steps],
        truncated=[step.truncated for step in report.steps],
        pass_at_1=benchmark.pass_at_1,
        problems=benchmark.problems,
        seconds=round(seconds, 1),
    )


class Results:
    """The results in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self, variant: str, seed: int, specification: str) -> Result | None:
        """The result of exactly this run, if it is there."""
        try:
            result = Result.model_validate_json(self._file(variant, seed).read_text())
        except (FileNotFoundError, ValidationError):
            return None
        return result if result.specification == specification else None

    def keep(self, result: Result) -> None:
        """Write it, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / "unfinished"
        unfinished.write_text(canonical_json(result))
        unfinished.rename(self._file(result.variant, result.seed))

    def _file(self, variant: str, seed: int) -> Path:
        return self._folder / f"{variant}-{seed}.json"
