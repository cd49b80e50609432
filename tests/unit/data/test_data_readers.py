"""Files of problems, read row by row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.problems import Problem, test_suite
from deepcoder_data import readers
from deepcoder_data.folders import DamagedError
from deepcoder_data.formats import FORMATS
from deepcoder_data.readers import BadRow, Format, SkippedRow, read_file, read_problems, read_source_file
from deepcoder_data.store import ObjectMissingError, ObjectStore
from tests.dataset_rows import (
    deepcoder_row,
    json_rows,
    livecodebench_function_row,
    livecodebench_row,
    mbpp_row,
    pickled_tests,
    synthetic_1_row,
    taco_function_row,
    taco_row,
)
from tests.problem_builders import human_eval_row, json_lines, problem, write

STORE = ObjectStore(None, "us-east-1")  # file:// URIs never reach it


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["problems.jsonl", "problems.jsonl.gz"])
def test_rows_come_in_order_whatever_the_file_is_called(tmp_path: Path, name: str, compressed: bool) -> None:
    """A file is uncompressed by what it holds, not by its name."""
    written = [problem("one"), problem("two", solution=None), problem("three", tests=[])]
    uri = write(tmp_path / name, json_lines(written), compressed=compressed)

    assert list(read_problems(STORE, uri, "jsonl")) == written


def test_a_problem_without_tests_is_a_problem_not_a_bad_row(tmp_path: Path) -> None:
    """Dropping it is the preparation's decision, which counts it."""
    uri = write(tmp_path / "problems.jsonl", json_lines([problem(tests=[])]))

    assert [row.tests for row in read_problems(STORE, uri, "jsonl") if isinstance(row, Problem)] == [()]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"not json", "Invalid JSON"),
        (b"[1, 2]", "Input should be an object"),
        (b'{"id": "x", "prompt": "p"}', "tests: Field required"),
        (b'{"id": "", "prompt": "p", "tests": []}', "id: String should have at least 1 character"),
        (b'{"id": "x", "prompt": "p", "tests": [], "colour": "red"}', "colour: Extra inputs are not permitted"),
        (b'{"id": "x", "prompt": "p", "tests": [{"kind": "oral"}]}', "tests.0: Input tag 'oral'"),
        (b'{"id": "x", "prompt": "\xff", "tests": []}', "Invalid JSON"),
        (b'{"id": "x", "prompt": "\\ud800", "tests": []}', "Invalid JSON"),
        (b'{"id": "x", "prompt": "p", "tests": [{"kind": "stdin", "input": 1, "output": "1"}]}', "tests.0.stdin.input"),
    ],
)
def test_a_malformed_row_names_its_line_and_its_fault_and_the_next_is_read(
    tmp_path: Path, row: bytes, said: str
) -> None:
    """One bad row never costs the rows after it; empty lines count as lines."""
    good = problem("good")
    uri = write(tmp_path / "problems.jsonl", b"\n" + row + b"\n  \n" + json_lines([good]))

    bad, after = list(read_problems(STORE, uri, "jsonl"))

    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert said in bad.reason
    assert "\n" not in bad.reason
    assert after == good


def test_many_faults_of_one_row_are_cut_short(tmp_path: Path) -> None:
    """A reason stays one line that a person reads."""
    row = b'{"id": "x", "prompt": "p", "tests": [%s]}' % b", ".join([b"{}"] * 50)

    (bad,) = read_problems(STORE, write(tmp_path / "problems.jsonl", row), "jsonl")

    assert isinstance(bad, BadRow)
    assert "and 47 more" in bad.reason
    assert len(bad.reason) < 600


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("humaneval", human_eval_row()),
        ("mbpp", json_rows([mbpp_row()])),
        ("taco", json_rows([taco_row()])),
        ("synthetic-1", json_rows([synthetic_1_row()])),
        ("livecodebench", json_rows([livecodebench_row()])),
        ("deepcoder", json_rows([deepcoder_row()])),
    ],
)
def test_a_row_of_every_format_stands_between_bad_ones(tmp_path: Path, format: Format, row: bytes) -> None:
    """A row of another format, a deep one, one with a number beyond all bounds: each is said, none ends it."""
    bad = [b'{"colour": "red"}', b"[" * 20_000, b'{"tests": %s}' % (b"9" * 5000), b"\xff\xfe"]
    uri = write(tmp_path / "rows.jsonl", b"\n".join([*bad, row.strip(), *bad]))

    rows = list(read_problems(STORE, uri, format))

    assert [type(one) for one in rows] == [BadRow] * 4 + [Problem] + [BadRow] * 4
    assert [one.line for one in rows if isinstance(one, BadRow)] == [1, 2, 3, 4, 6, 7, 8, 9]


# Values as they are, as JSON, and as Python prints them; a right row with one column put wrong reaches furthest.
odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("f") | st.just("python"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["inputs", "outputs", "fn_name", "test_cases", "type", "testtype"]), inner)
        | st.fixed_dictionaries({"input": inner, "output": inner, "testtype": st.just("functional")})
        | inner.map(lambda value: json.dumps(value))
        | inner.map(repr)
        | inner.map(pickled_tests)
    ),
    max_leaves=9,
)
ROWS: dict[Format, list[dict[str, Any]]] = {
    "humaneval": [json.loads(human_eval_row())],
    "mbpp": [mbpp_row()],
    "taco": [taco_row(), taco_function_row()],
    "synthetic-1": [synthetic_1_row()],
    "livecodebench": [livecodebench_row(), livecodebench_function_row()],
    "deepcoder": [deepcoder_row()],
}


@given(data=st.data(), format=st.sampled_from(sorted(ROWS)), value=odd_values)
def test_no_value_of_a_column_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, format: Format, value: Any
) -> None:
    """The row is a problem, a bad row or left out, and a problem's tests can be written for the sandbox."""
    row = data.draw(st.sampled_from(ROWS[format]))
    column = data.draw(st.sampled_from(sorted(FORMATS[format].columns)))
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_text(json.dumps({**row, column: value}))

    (read,) = read_source_file(file, "x", format)

    assert isinstance(read, Problem | BadRow | SkippedRow)
    if isinstance(read, Problem) and read.tests:
        test_suite(read).content_hash()


def test_rows_that_the_format_leaves_out_are_no_bad_rows(tmp_path: Path) -> None:
    """Whoever asks for problems alone does not see them."""
    rows = [synthetic_1_row(task_type="verifiable_math"), synthetic_1_row()]
    uri = write(tmp_path / "rows.jsonl", json_rows(rows))

    assert [type(row) for row in read_problems(STORE, uri, "synthetic-1")] == [Problem]


def test_a_row_too_long_to_be_held_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without line ends, such as a model's weights, cannot fill the memory."""
    monkeypatch.setattr(readers, "MAX_ROW_BYTES", 1000)
    monkeypatch.setattr(readers, "_CHUNK", 64)
    good = problem("good")
    uri = write(tmp_path / "problems.jsonl", b"x" * 5000 + b"\n" + json_lines([good]) + b"y" * 3000)

    assert list(read_problems(STORE, uri, "jsonl")) == [
        BadRow(1, "longer than 1000 bytes"),
        good,
        BadRow(3, "longer than 1000 bytes"),
    ]


def test_rows_are_streamed(tmp_path: Path) -> None:
    """The first row is there before a damaged end is met."""
    content = gzip.compress(json_lines([problem(str(index)) for index in range(20_000)]))
    uri = write(tmp_path / "cut.jsonl.gz", content[: len(content) // 2])
    rows = read_problems(STORE, uri, "jsonl")

    assert next(rows) == problem("0")
    with pytest.raises(DamagedError, match=r"cut\.jsonl\.gz: the gzip file is damaged"):
        list(rows)


@pytest.mark.parametrize("uri", ["file:///there/is/none.jsonl", "file://relative/path.jsonl"])
def test_a_file_that_is_not_there_is_named(uri: str) -> None:
    """The error has the URI as it was given."""
    with pytest.raises(ObjectMissingError, match=uri):
        next(read_problems(STORE, uri, "jsonl"))


def test_a_human_eval_row_lacks_what_is_missing(tmp_path: Path) -> None:
    """A row of another data set is a bad row that says which field it lacks."""
    uri = write(tmp_path / "rows.jsonl", human_eval_row() + b'\n{"task_id": "HumanEval/1", "prompt": "p"}\n')

    good, bad = list(read_problems(STORE, uri, "humaneval"))

    assert isinstance(good, Problem)
    assert isinstance(bad, BadRow)
    assert "entry_point: Field required" in bad.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
tests = st.lists(
    st.fixed_dictionaries({"kind": st.just("stdin"), "input": st.text(), "output": st.text()})
    | st.fixed_dictionaries(
        {"kind": st.just("function"), "arguments": st.lists(json_values, max_size=3), "expected": json_values}
    )
    | st.fixed_dictionaries({"kind": st.just("assertion"), "code": st.text()}),
    max_size=4,
)


@given(prompts=st.lists(st.tuples(st.text(min_size=1), tests), max_size=5))
def test_what_json_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, prompts: list) -> None:
    """Any text, line separators of other scripts included, and any JSON value survive the way through a file."""
    rows = [{"id": str(index), "prompt": text, "tests": given} for index, (text, given) in enumerate(prompts)]
    file = tmp_path_factory.mktemp("rows") / "problems.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), newline="")

    assert [row.model_dump(mode="json") for row in read_file(file, "x", "jsonl") if isinstance(row, Problem)] == [
        problem(**row, solution=None).model_dump(mode="json") for row in rows
    ]
