"""What `deepcoder grade` reads, and how it refuses: every fault with file, line, field, value and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.problems import AssertionTest
from deepcoder_cli.grading.inputs import Inputs, RefusedInputError, read_inputs
from deepcoder_data.readers import Format
from tests.problem_builders import human_eval_row, json_lines, problem, write

ANSWER = "Here:\n```python\nprint(2 * int(input()))\n```\n"


class Files:
    """A file of problems and one of answers."""

    def __init__(self, folder: Path) -> None:
        self.problems, self.answers = folder / "problems.jsonl", folder / "answers.jsonl"
        self.write_problems(json_lines([problem("double"), problem("other")]))
        self.write_answers({"problem": "double", "answer": ANSWER})

    def write_problems(self, content: bytes, compressed: bool = False) -> None:
        """As they are, or gzipped."""
        write(self.problems, content, compressed=compressed)

    def write_answers(self, *rows: dict[str, Any] | bytes, compressed: bool = False) -> None:
        """A line for each."""
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        write(self.answers, b"\n".join(lines), compressed=compressed)

    def read(self, format: Format = "jsonl") -> Inputs:
        """Both."""
        return read_inputs(self.problems, format, self.answers)

    def faults(self, format: Format = "jsonl") -> list[str]:
        """What is wrong, without the folder's name."""
        with pytest.raises(RefusedInputError) as refused:
            self.read(format)
        return [fault.replace(f"{self.problems.parent}/", "") for fault in refused.value.faults]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Two problems, and an answer to the first."""
    return Files(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
def test_answers_keep_their_lines_and_are_counted_by_problem(files, compressed):
    """Several answers to one problem; a program is taken as it is; fields of the caller's own are left alone."""
    files.write_answers(
        {"problem": "double", "answer": ANSWER, "model": "x"},
        b"",
        {"problem": "other", "program": "print(1)"},
        {"problem": "double", "program": "print(2)"},
        compressed=compressed,
    )
    inputs = files.read()
    assert [(one.line, one.problem, one.index, one.program) for one in inputs.answers] == [
        (1, "double", 0, "print(2 * int(input()))\n"),
        (3, "other", 0, "print(1)"),
        (4, "double", 1, "print(2)"),
    ]
    assert (inputs.problems, set(inputs.suites)) == (2, {"double", "other"})


def test_answer_without_a_program_says_why(files):
    """It is the model's own doing, not a fault of the input."""
    files.write_answers(
        {"problem": "double", "answer": "no idea"}, {"problem": "double", "program": "x" * (1 << 20) + "x"}
    )
    first, second = files.read().answers
    assert (first.program, second.program) == (None, None)
    assert "no closed ```python block" in first.detail
    assert "1048577 characters; at most 1048576 are run" in second.detail


def test_human_evals_rows_are_read(files):
    """As published, gzipped; an answer that only continues the function gets the prompt before it."""
    files.write_problems(human_eval_row(), compressed=True)
    files.write_answers({"problem": "HumanEval/0", "answer": "```python\n    return 2 * number\n```"})
    inputs = files.read("humaneval")
    (answer,) = inputs.answers
    assert (answer.program or "").startswith("def double(number):")
    assert isinstance(inputs.suites["HumanEval/0"].tests[0], AssertionTest)


ANSWERS: dict[str, tuple[Any, str]] = {
    "unknown problem": (
        {"problem": "duoble", "answer": ""},
        'answers.jsonl line 1: problem: "duoble": there is no such problem in problems.jsonl (did you mean "double"?)',
    ),
    "unknown, like none": (
        {"problem": "xyz", "answer": ""},
        'answers.jsonl line 1: problem: "xyz": there is no such problem in problems.jsonl (it has 2, the first is',
    ),
    "no problem": ({"answer": ""}, "answers.jsonl line 1: problem: a value is required"),
    "problem of another type": ({"problem": 7, "answer": ""}, "answers.jsonl line 1: problem: 7: must be a string"),
    "neither": ({"problem": "double"}, "answers.jsonl line 1: answer, program: neither is there; a line has an answer"),
    "both": ({"problem": "double", "answer": "", "program": ""}, "answers.jsonl line 1: answer, program: both are"),
    "no JSON": (b"{nonsense", 'answers.jsonl line 1: "{nonsense": Invalid JSON'),
    "empty": (b"", "answers.jsonl: the file is empty; at least one answer is needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_wrong_answer_line_is_refused(files, name):
    """With its line, and what would be right."""
    row, said = ANSWERS[name]
    files.write_answers(row)
    (fault,) = files.faults()
    assert fault.startswith(said)


PROBLEMS: dict[str, tuple[bytes, str]] = {
    "wrong field": (
        b'{"id": "", "prompt": "p", "tests": []}',
        'problems.jsonl line 1: id: String should have at least 1 character, not ""',
    ),
    "twice": (json_lines([problem("a"), problem("a")]), 'problems.jsonl: id: "a": two problems have it'),
    "empty": (b"\n", "problems.jsonl: the file is empty; at least one problem is needed"),
    "no tests": (
        json_lines([problem("double", tests=[])]),
        'problems.jsonl: problem "double": tests: []: must have at least 1 items',
    ),
    "no entry point": (
        json_lines([problem("double", tests=[{"kind": "function", "arguments": [], "expected": 1}])]),
        'problems.jsonl: problem "double": test 1 calls a function, but the suite has no entry_point',
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_wrong_problem_is_refused(files, name):
    """As a server would refuse it, before one is started."""
    content, said = PROBLEMS[name]
    files.write_problems(content)
    (fault,) = files.faults()
    assert fault.startswith(said)


def test_all_faults_are_told_at_once(files):
    """Nobody wants to hear of them one by one."""
    files.write_answers({"problem": "x", "answer": ""}, {"problem": "double", "answer": ""}, {"problem": "y"})
    assert [fault.partition(":")[0] for fault in files.faults()] == ["answers.jsonl line 1", "answers.jsonl line 3"]


def test_file_of_another_schema_is_one_fault_not_hundreds(files):
    """With the name of the option that is most likely wrong."""
    files.write_problems(b"\n".join([human_eval_row()] * 50))
    faults = files.faults()
    assert len(faults) == 3
    assert faults[-1].startswith("--format: jsonl: no line of problems.jsonl is one; allowed besides: humaneval, ")


def test_file_that_is_not_there_or_damaged(files, tmp_path):
    """Named, without a stack of calls."""
    files.answers.write_bytes(b"\x1f\x8bdamaged")
    assert "answers.jsonl: the gzip file is damaged" in files.faults()[0]
    files.problems.unlink()
    assert files.faults() == ["problems.jsonl: cannot be read: No such file or directory"]
