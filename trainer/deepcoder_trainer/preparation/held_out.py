"""Validation problems: read whole or not at all, compared with what is trained on, and written beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import ValidationSource
from deepcoder_data.causes import cause
from deepcoder_data.dataset import VALIDATION, DatasetWriter
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.termination import PermanentError
from deepcoder_trainer.preparation.contents import SourceContent, field_of, read_content
from deepcoder_trainer.preparation.decontamination import Benchmark
from deepcoder_trainer.preparation.near_duplicates import StatementIndex, statement_of


@dataclass(frozen=True)
class HeldOut:
    """The problems of all validation sources, and each source as one that nothing trained on may be near to."""

    problems: tuple[Problem, ...]
    benchmarks: tuple[Benchmark, ...]

    def write(self, folder: Path) -> None:
        """Write the problems into a dataset's folder."""
        with DatasetWriter(folder, VALIDATION) as writer:
            for problem in self.problems:
                writer.add(problem)


def read_held_out(
    contents: Iterable[SourceContent[ValidationSource]], prompt_tokens: Callable[[str], int], max_prompt_tokens: int
) -> HeldOut:
    """All validation sources. `prompt_tokens` counts a rendered prompt.

    Raises PermanentError that names the source for a row that cannot be read or asked, an id that is there twice, and a
    source without problems: a score over a part of them would be another number.
    """
    problems, benchmarks, ids = list[Problem](), list[Benchmark](), set[str]()
    for given in contents:
        statements = StatementIndex(given.source.similarity)
        for problem in _problems(given):
            tokens = prompt_tokens(problem.prompt)
            if tokens > max_prompt_tokens:
                said = f"problem {problem.id!r} has a prompt of {tokens} tokens, above data.maxPromptTokens"
                raise _invalid(given, f"{said} ({max_prompt_tokens})")
            if problem.id in ids:
                raise _invalid(given, f"problem {problem.id!r} is there twice; ids must be unique")
            ids.add(problem.id)
            problems.append(problem)
            statements.add(problem.id, statement_of(problem.prompt))
        if not len(statements):
            raise _invalid(given, "it has no problem")
        benchmarks.append(Benchmark(given.source, statements, unreadable=0, field="validation"))
    return HeldOut(tuple(problems), tuple(benchmarks))


def _problems(given: SourceContent[ValidationSource]) -> Iterator[Problem]:
    for row in read_content("validation", given):
        if isinstance(row, SkippedRow):
            continue
        if isinstance(row, BadRow):
            raise _invalid(given, f"{row.place}: {row.reason}")
        if not row.tests:
            raise _invalid(given, f"problem {row.id!r} has no tests, so that no answer could be accepted")
        yield row.model_copy(update={"source": given.source.name})


def _invalid(given: SourceContent[ValidationSource], said: str) -> PermanentError:
    return PermanentError("ValidationInvalid", cause(field_of("validation", given.source), given.source.uri, said))
