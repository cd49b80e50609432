"""What a source of the specification makes of its files' rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.problems import AssertionTest, FunctionTest, Problem, StdinTest
from deepcoder_api.training_run import DataSource, TestLimit
from deepcoder_data.rows import BadRow, SkippedRow
from deepcoder_data.source_files import NamedFile
from deepcoder_data.sources import limit_tests, read_source, source_digest
from tests.dataset_rows import json_rows, livecodebench_row, taco_row, write_parquet
from tests.problem_builders import problem


def files(folder: Path, contents: dict[str, bytes]) -> list[NamedFile]:
    """Files with that content, as a source of several has them."""
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [NamedFile(name, folder / name) for name in contents]


def source(**changes: Any) -> DataSource:
    """A source of LiveCodeBench."""
    return DataSource.model_validate({"name": "s", "format": "livecodebench", "uri": "s3://b/x", **changes})


def test_rows_of_all_files_come_in_order_and_bad_ones_name_their_file(tmp_path: Path) -> None:
    """Lines count in each file anew."""
    first = json_rows([livecodebench_row(), {"question_id": "x"}])
    rows = list(read_source(source(), files(tmp_path, {"a.jsonl": first, "b.jsonl": b"\nno JSON\n"})))

    assert isinstance(rows[0], Problem)
    assert [row.place for row in rows[1:] if isinstance(row, BadRow)] == ["a.jsonl line 2", "b.jsonl line 2"]


def test_lines_and_tables_may_lie_side_by_side(tmp_path: Path) -> None:
    """Each file is read as what it is."""
    table = write_parquet(tmp_path / "b.parquet", [taco_row(question="of a table")])
    given = [*files(tmp_path, {"a.jsonl": json_rows([taco_row()])}), NamedFile("b.parquet", table)]

    problems = list(read_source(source(format="taco"), given))

    assert ["of a table" in row.prompt for row in problems if isinstance(row, Problem)] == [False, True]


def test_rows_outside_the_window_are_left_out_and_said(tmp_path: Path) -> None:
    """They are counted, not lost."""
    dates = ("2023-04-30", "2023-05-01", "2024-07-31", "2024-08-01")
    content = json_rows(livecodebench_row(question_id=day, contest_date=f"{day}T00:00:00") for day in dates)
    window = {"from": "2023-05-01", "to": "2024-07-31"}

    rows = list(read_source(source(window=window), files(tmp_path, {"a.jsonl": content})))

    assert [row.id for row in rows if isinstance(row, Problem)] == [
        "livecodebench/2023-05-01",
        "livecodebench/2024-07-31",
    ]
    assert [row for row in rows if isinstance(row, SkippedRow)] == [
        SkippedRow(1, "outside_window", "a.jsonl"),
        SkippedRow(4, "outside_window", "a.jsonl"),
    ]


def test_each_problem_keeps_at_most_its_tests_with_the_longest_inputs(tmp_path: Path) -> None:
    """As the recipe does with TACO and SYNTHETIC-1, at 15."""
    published = '{"inputs": ["1", "333", "22", "444"], "outputs": ["a", "b", "c", "d"]}'
    given = files(tmp_path, {"a.jsonl": json_rows([taco_row(input_output=published)])})

    (row,) = read_source(source(format="taco", tests={"maxCount": 2}), given)

    assert isinstance(row, Problem)
    assert row.tests == (StdinTest(input="333", output="b"), StdinTest(input="444", output="d"))


@given(lengths=st.lists(st.integers(0, 9), max_size=12), count=st.integers(1, 15))
def test_no_test_that_is_left_out_has_a_longer_input_than_one_that_stays(lengths: list[int], count: int) -> None:
    """Of equals the earlier stay, and those that stay keep their order."""
    tests = [StdinTest(input="x" * length, output=str(index)) for index, length in enumerate(lengths)]

    kept = limit_tests(problem(tests=tests), TestLimit(max_count=count)).tests

    assert len(kept) == min(count, len(tests))
    assert [test for test in tests if test in kept] == list(kept)
    for test in tests:
        for stays in kept if test not in kept else ():
            assert isinstance(stays, StdinTest)
            assert (len(stays.input), -int(stays.output)) > (len(test.input), -int(test.output))


def test_inputs_of_calls_and_assertions_have_lengths_too() -> None:
    """A call's arguments as JSON, an assertion's code."""
    calls = [FunctionTest(arguments=["xxxx"], expected=0), FunctionTest(arguments=[1, 2, 3, 4, 5], expected=1)]
    checks = [AssertionTest(code="short"), AssertionTest(code="much longer")]

    assert limit_tests(problem(tests=calls), TestLimit(max_count=1)).tests == (calls[1],)
    assert limit_tests(problem(tests=checks), TestLimit(max_count=1)).tests == (checks[1],)


def test_without_a_limit_all_tests_stay() -> None:
    """The default."""
    assert limit_tests(problem(), TestLimit()) == problem()


def test_the_digest_is_that_of_what_the_files_hold_in_their_order(tmp_path: Path) -> None:
    """Of one file its own; names do not matter, order and the cut into files do."""
    one = files(tmp_path, {"a": b"1"})
    two = files(tmp_path, {"a": b"1", "b": b"2"})

    assert source_digest(one) == hashlib.sha256(b"1").hexdigest()
    assert source_digest(files(tmp_path, {"c": b"1", "d": b"2"})) == source_digest(two)
    assert source_digest([two[1], two[0]]) != source_digest(two)
    assert source_digest(files(tmp_path, {"e": b"12"})) != source_digest(two)
    assert source_digest(files(tmp_path, {"f": b"1", "g": b"3"})) != source_digest(two)
