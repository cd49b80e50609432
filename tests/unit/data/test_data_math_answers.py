"""Rows of format math as problems."""

from __future__ import annotations

import json
from pathlib import Path

from deepcoder_api.problems import MAX_MATH_CHARACTERS, MathTest
from deepcoder_data.math_answers import MathRow, math_problem
from deepcoder_data.readers import BadRow, read_file

ROW = {"problem": "What is $1+1$?", "answer": "2", "solution": "Counting gives $\\boxed{2}$."}


def test_a_row_is_a_question_with_one_value() -> None:
    """The prompt says where the answer is to stand; the answer is also the solution that verification compares."""
    problem = math_problem(MathRow.model_validate(ROW))
    assert problem.prompt == ("What is $1+1$? Let's think step by step and output the final answer within \\boxed{}.")
    assert problem.tests == (MathTest(expected="2"),)
    assert (problem.solution, problem.source, problem.is_math) == ("2", "math", True)


def test_ids_come_from_the_question() -> None:
    """White space around it does not count, its words do."""
    one, same, other = (math_problem(MathRow(problem=text, answer="2")).id for text in ("What?", " What?\n", "Which?"))
    assert one == same != other
    assert one.startswith("math/")


def test_rows_are_read_from_a_file(tmp_path: Path) -> None:
    """Numbers are answers too; a row without an answer or with one too long is bad alone."""
    rows = [ROW, ROW | {"answer": 7}, {"problem": "What?"}, ROW | {"answer": "1" * (MAX_MATH_CHARACTERS + 1)}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    first, second, *bad = read_file(file, file.as_uri(), "math")
    assert not isinstance(first, BadRow)
    assert not isinstance(second, BadRow)
    assert [test.expected for problem in (first, second) for test in problem.tests if isinstance(test, MathTest)] == [
        "2",
        "7",
    ]
    assert [row.reason for row in bad if isinstance(row, BadRow)] == [
        "answer: Field required",
        f"answer: {MAX_MATH_CHARACTERS + 1} characters; at most {MAX_MATH_CHARACTERS} are compared",
    ]
