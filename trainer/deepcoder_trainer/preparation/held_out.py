"""Validation problems: compared with what is trained on, and written beside it.

A score over what happened to be readable would be another number, so a row that cannot be read or graded ends the
preparation. A prompt that is too long to be asked is left out by rule, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import ValidationSource
from deepcoder_data.causes import cause
from deepcoder_data.dataset import VALIDATION, DatasetWriter
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.termination import PermanentError
from deepcoder_trainer.preparation.contents import SourceContent, field_of, of_source, read_content
from deepcoder_trainer.preparation.decontamination import Benchmark
from deepcoder_trainer.preparation.near_duplicates import StatementIndex, statement_of

log = structlog.get_logger("prepare")


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

    Raises PermanentError that names the source for a row that cannot be read or graded, an id that is there twice, and
    a source without a problem that can be asked.
    """
    problems, benchmarks, ids = list[Problem](), list[Benchmark](), set[str]()
    for given in contents:
        statements, asked = StatementIndex(given.source.similarity), len(problems)
        for problem in _problems(given):
            if problem.id in ids:
                raise _invalid(given, f"problem {problem.id!r} is there twice; ids must be unique")
            ids.add(problem.id)
            statements.add(problem.id, statement_of(problem.prompt))
            tokens = prompt_tokens(problem.prompt)
            if tokens <= max_prompt_tokens:
                problems.append(problem)
            else:
                log.warning("not asked: its prompt is too long", source=given.source.name, id=problem.id, tokens=tokens)
        if len(problems) == asked:
            raise _invalid(given, f"it has no problem with a prompt of at most {max_prompt_tokens} tokens")
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
        yield of_source(row, given.source)


def _invalid(given: SourceContent[ValidationSource], said: str) -> PermanentError:
    return PermanentError("ValidationInvalid", cause(field_of("validation", given.source), given.source.uri, said))
