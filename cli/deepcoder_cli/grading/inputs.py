"""Problems and answers out of files, checked whole before anything is graded: every fault with its file and line."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepcoder_api.field_errors import field_errors
from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS
from deepcoder_api.problems import Problem, TestSuite, test_suite
from deepcoder_data.folders import DamagedError
from deepcoder_data.readers import BadRow, Format, read_file, read_rows
from deepcoder_sandbox.extraction import assemble_program
from deepcoder_sandbox.problem_cache import SuiteRefusedError, check_gradable

MOST_ALIKE = 2


class RefusedInputError(Exception):
    """Input that cannot be graded: `faults` are sentences, each with file, place, value and what is allowed."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class AnswerRow(BaseModel):
    """A line of an answers file. Fields that we do not know are the caller's own, and are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    problem: str = Field(min_length=1)
    answer: str | None = None
    program: str | None = None


@dataclass(frozen=True)
class Answer:
    """The answer number `index` to a problem, counted from 0, and the program in it; without one, `detail` says why."""

    line: int
    problem: str
    index: int
    program: str | None
    detail: str = ""


@dataclass(frozen=True)
class Inputs:
    """What is to be graded: answers in the order of their file, and the suites they are graded by."""

    problems: int
    suites: dict[str, TestSuite]
    answers: tuple[Answer, ...]


def read_inputs(problems_file: Path, format: Format, answers_file: Path) -> Inputs:
    """Both files, read to their ends. Raises RefusedInputError with all that is wrong with them."""
    problems, faults = _problems(problems_file, format)
    if faults:
        raise RefusedInputError(faults)
    answers, faults = _answers(answers_file, problems, problems_file)
    if faults:
        raise RefusedInputError(faults)
    suites: dict[str, TestSuite] = {}
    for id in dict.fromkeys(answer.problem for answer in answers):
        try:
            suites[id] = test_suite(problems[id])
            check_gradable(suites[id])
        except ValidationError as error:
            faults += [f"{problems_file}: problem {_shown(id)}: {one}" for one in field_errors(TestSuite, error)]
        except SuiteRefusedError as error:
            faults.append(f"{problems_file}: problem {_shown(id)}: {error}")
    if faults:
        raise RefusedInputError(faults)
    return Inputs(len(problems), suites, tuple(answers))


def _problems(file: Path, format: Format) -> tuple[dict[str, Problem], list[str]]:
    problems: dict[str, Problem] = {}
    faults: list[str] = []
    try:
        for row in read_file(file, str(file), format):
            if isinstance(row, BadRow):
                faults.append(f"{file} line {row.line}: {row.reason}")
            elif row.id in problems:
                faults.append(f"{file}: id: {_shown(row.id)}: two problems have it; every id must be its problem's own")
            else:
                problems[row.id] = row
    except (OSError, DamagedError) as error:
        faults.append(_unreadable(file, error))
    if not problems and not faults:
        faults.append(f"{file}: the file is empty; at least one problem is needed")
    elif not problems and len(faults) > MOST_ALIKE:  # another schema, most likely: one line says more than hundreds
        others = ", ".join(one for one in get_args(Format) if one != format)
        faults = [*faults[:MOST_ALIKE], f"--format: {format}: no line of {file} is one; allowed besides: {others}"]
    return problems, faults


def _answers(file: Path, problems: dict[str, Problem], problems_file: Path) -> tuple[list[Answer], list[str]]:
    answers: list[Answer] = []
    faults: list[str] = []
    seen: Counter[str] = Counter()
    try:
        for line, text in read_rows(file, str(file)):
            row, wrong = _answer_row(text)
            if row and row.problem not in problems:
                wrong = [f"problem: {_shown(row.problem)}: {_unknown(row.problem, problems, problems_file)}"]
            faults += [f"{file} line {line}: {one}" for one in wrong]
            if row and not wrong:
                answers.append(_answer(line, row, problems[row.problem], seen[row.problem]))
                seen[row.problem] += 1
    except (OSError, DamagedError) as error:
        faults.append(_unreadable(file, error))
    if not answers and not faults:
        faults.append(f"{file}: the file is empty; at least one answer is needed")
    return answers, faults


def _answer_row(text: bytes | BadRow) -> tuple[AnswerRow | None, list[str]]:
    """A line as an answer, or what is wrong with it."""
    if isinstance(text, BadRow):
        return None, [text.reason]
    try:
        row = AnswerRow.model_validate_json(text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            return None, [f"{_shown(text.decode(errors='replace').strip())}: {error.errors()[0]['msg']}"]
        return None, [str(one) for one in field_errors(AnswerRow, error)]
    if (row.answer is None) == (row.program is None):
        there = "neither is" if row.answer is None else "both are"
        return None, [f"answer, program: {there} there; a line has an answer (a model's text) or a program (code)"]
    return row, []


def _answer(line: int, row: AnswerRow, problem: Problem, index: int) -> Answer:
    if row.program is not None:
        program, detail = row.program, ""
    else:
        program = assemble_program(problem, row.answer or "")
        wanted = "\\boxed{} of at most 1,000 characters" if problem.is_math else "closed ```python block"
        detail = "" if program is not None else f"the answer has no {wanted}"
    if program is not None and len(program) > MAX_PROGRAM_CHARACTERS:
        program, detail = None, f"{len(program)} characters; at most {MAX_PROGRAM_CHARACTERS} are run"
    return Answer(line, row.problem, index, program, detail)


def _unknown(id: str, problems: dict[str, Problem], file: Path) -> str:
    close = difflib.get_close_matches(id, problems, n=1)
    hint = (
        f"did you mean {_shown(close[0])}?"
        if close
        else f"it has {len(problems)}, the first is {_shown(next(iter(problems)))}"
    )
    return f"there is no such problem in {file} ({hint})"


def _unreadable(file: Path, error: Exception) -> str:
    return f"{file}: cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= 80 else f"{text[:80]}…", ensure_ascii=False)
