"""The kinds of benchmarks: how rows become problems, what is left out, and what cannot be scored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from deepcoder_api.evaluation_benchmarks import Benchmark, BenchmarkKind
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest
from deepcoder_data.store import ObjectMissingError, ObjectStore
from deepcoder_evaluation.benchmarks.codeforces import contest_ratings, place_of
from deepcoder_evaluation.benchmarks.loading import load_benchmark
from deepcoder_evaluation.benchmarks.registry import kinds
from deepcoder_evaluation.scoring import length_score
from tests.dataset_rows import json_rows, livecodebench_function_row, livecodebench_row, write_parquet
from tests.unit.evaluation.evaluation_builders import outcome, problem

STORE = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")


def load(file: Path, kind: str = "jsonl", **fields: Any):  # type: ignore[no-untyped-def]
    return load_benchmark(STORE, Benchmark.model_validate({"name": "b", "kind": kind, "uri": file.as_uri(), **fields}))


def test_every_kind_that_may_be_written_has_a_file() -> None:
    """The registry and the schema name the same."""
    assert set(kinds()) == set(get_args(BenchmarkKind))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no problems"),
        (["{}"], "line 1: id"),
        (["", "not json"], "line 2"),
        ([problem("a", tests=[]).model_dump_json()], "problem 'a' has no tests"),
        ([problem("a").model_dump_json()] * 2, "problem 'a' is there twice"),
    ],
)
def test_a_benchmark_that_cannot_be_scored_whole_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    """A score over part of it would be another number: the line, the problem and the file are named."""
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=rf"b\.jsonl: .*{said}"):
        load(tmp_path / "b.jsonl")


def test_a_benchmark_may_be_compressed_and_is_told_by_its_content(tmp_path: Path) -> None:
    """In the order of the file; another order is another benchmark, another compression is not."""
    digests = []
    for order, level in (("ba", 1), ("ba", 9), ("ab", 9)):
        content = "\n".join(problem(id).model_dump_json() for id in order).encode()
        (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content, level))
        found = load(tmp_path / "b.jsonl.gz")
        assert [one.id for one in found.problems] == list(order)
        digests.append(found.problems_sha256)
    assert digests[0] == digests[1] != digests[2]


def test_livecodebench_rows_of_every_shape(tmp_path: Path) -> None:
    """Standard input and function calls, private tests as JSON and as pickle; what rows say of themselves is kept."""
    rows = [livecodebench_row(question_id="1"), livecodebench_function_row(question_id="2")]
    (tmp_path / "test.jsonl").write_bytes(json_rows(rows))
    found = load(tmp_path / "test.jsonl", "livecodebench")
    assert [type(one.tests[0]) for one in found.problems] == [StdinTest, FunctionTest]
    assert all(one.metadata.keys() >= {"contest_date", "platform", "difficulty"} for one in found.problems)


def test_both_days_of_a_window_count(tmp_path: Path) -> None:
    """And the rows outside it are counted."""
    dates = ["2024-07-31T00:00:00", "2024-08-01T00:00:00", "2025-02-01T23:30:00", "2025-02-02T00:00:00"]
    rows = [livecodebench_row(question_id=str(n), contest_date=date) for n, date in enumerate(dates)]
    (tmp_path / "test.jsonl").write_bytes(json_rows(rows))
    window = {"from": "2024-08-01", "to": "2025-02-01"}
    found = load(tmp_path / "test.jsonl", "livecodebench", window=window)
    assert [one.id for one in found.problems] == ["livecodebench/1", "livecodebench/2"]
    assert found.left_out == {"outside_window": 2}
    assert found.kind.settings(found.benchmark) == window
    with pytest.raises(ValueError, match="no problems within the window, of 4"):
        load(tmp_path / "test.jsonl", "livecodebench", window={"from": "2026-01-01"})


def test_a_release_is_the_files_up_to_its_own(tmp_path: Path) -> None:
    """v2 is test.jsonl and test2.jsonl; a file that is not there is an error, not fewer problems."""
    for number, name in enumerate(["test.jsonl", "test2.jsonl", "test3.jsonl"]):
        (tmp_path / name).write_bytes(json_rows([livecodebench_row(question_id=str(number))]))
    assert [one.id for one in load(tmp_path, "livecodebench", release="v2").problems] == [
        "livecodebench/0", "livecodebench/1",
    ]  # fmt: skip
    assert len(load(tmp_path, "livecodebench").problems) == 3
    with pytest.raises(ObjectMissingError, match=r"test4\.jsonl"):
        load(tmp_path, "livecodebench", release="v5")


def test_programs_are_taken_out_as_the_rules_in_force_do() -> None:
    """LiveCodeBench's own way goes with its profile, rLLM's with theirs; HumanEval+ is not LiveCodeBench's."""
    rules = {kind: {p: kinds()[kind].extraction(p) for p in ("strict", "lcb-v5", "rllm-main")} for kind in kinds()}  # type: ignore[arg-type]
    usual = {"strict": "last-python-block", "lcb-v5": "lcb", "rllm-main": "rllm"}
    assert rules["livecodebench"] == rules["codeforces"] == usual
    assert rules["humaneval-plus"] == {**usual, "lcb-v5": "last-python-block"}
    assert set(rules["jsonl"].values()) == {"last-python-block"}


HALVE = {
    "task_id": "HumanEval/1000",
    "prompt": 'def halve(x):\n    """Half of x."""\n',
    "entry_point": "halve",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[2], [3]],
    "plus_input": [[10**6 + 1], [-7]],
    "atol": 0,
    "contract": "",
}
PUBLISHED = {
    **{name: HALVE[name] for name in ("task_id", "prompt", "entry_point", "canonical_solution")},
    "test": "def check(candidate):\n    assert candidate(2) == 1\n",
}


def check(code: str, candidate: Any) -> bool:
    """What an assertion test says of a function, run here: it is our own code and ours are the functions."""
    names: dict[str, Any] = {}
    exec(code, names)
    try:
        names["check"](candidate)
    except AssertionError:
        return False
    return True


def test_human_eval_plus_has_base_and_then_plus_inputs(tmp_path: Path) -> None:
    """Right for small numbers only: base passes, plus does not. A float may be off by a millionth, not by more."""
    (tmp_path / "plus.jsonl").write_text(json.dumps(HALVE))
    (found,) = load(tmp_path / "plus.jsonl", "humaneval-plus").problems
    codes = [one.code for one in found.tests if isinstance(one, AssertionTest)]
    assert [check(code, lambda x: x / 2) for code in codes] == [True, True]
    assert [check(code, lambda x: x / 2 if 0 < x < 10 else 0.0) for code in codes] == [True, False]
    assert [check(code, lambda x: x / 2 + 5e-7) for code in codes] == [True, True]
    assert [check(code, lambda x: x / 2 + 1e-3) for code in codes] == [False, False]
    assert [check(code, lambda x: str(x / 2)) for code in codes] == [False, False]


def test_exact_results_have_no_tolerance_and_types_matter_where_it_is_used(tmp_path: Path) -> None:
    """An int must be equal; with atol a list is compared item by item, of the same length and kind."""
    row = {**HALVE, "canonical_solution": "    return [x, x + 1]\n", "atol": 0.01, "plus_input": []}
    (tmp_path / "plus.jsonl").write_text(json.dumps(row))
    (found,) = load(tmp_path / "plus.jsonl", "humaneval-plus").problems
    (test,) = found.tests
    assert isinstance(test, AssertionTest)
    assert check(test.code, lambda x: [x + 0.009, x + 1])
    assert not check(test.code, lambda x: [x + 0.02, x + 1])
    assert not check(test.code, lambda x: [x])
    assert not check(test.code, lambda x: (x + 0.009, x + 1))


def test_a_zero_of_a_polynomial_is_any_zero(tmp_path: Path) -> None:
    """HumanEval/32 has many right answers: the value of the polynomial decides, not the canonical zero."""
    row = {
        **HALVE, "entry_point": "find_zero", "prompt": "def find_zero(xs):\n", "atol": 1e-4,
        "canonical_solution": "    return 1.0\n", "base_input": [[[-4, 0, 1]]], "plus_input": None,
    }  # fmt: skip
    (tmp_path / "plus.jsonl").write_text(json.dumps(row))
    (found,) = load(tmp_path / "plus.jsonl", "humaneval-plus").problems
    (test,) = found.tests
    assert isinstance(test, AssertionTest)
    assert [check(test.code, lambda xs, zero=zero: zero) for zero in (2.0, -2.0, 1.0)] == [True, True, False]


def test_base_has_a_score_of_its_own(tmp_path: Path) -> None:
    """Of two problems one passes both, one base alone: 50 % with plus, 100 % by base."""
    rows = [HALVE, {**HALVE, "task_id": "HumanEval/1001"}]
    (tmp_path / "plus.jsonl").write_bytes(json_rows(rows))
    benchmark = load(tmp_path / "plus.jsonl", "humaneval-plus")
    passed, failed = Verdict.ACCEPTED.value, Verdict.WRONG_ANSWER.value
    score = length_score(
        benchmark,
        [
            outcome("HumanEval/1000", test_verdicts=(passed, passed)),
            outcome("HumanEval/1001", verdict=Verdict.WRONG_ANSWER, test_verdicts=(passed, failed)),
        ],
    )
    assert (score.pass_at_1, score.subsets) == (0.5, {"base": 1.0})


@pytest.mark.parametrize("layout", ["jsonl", "parquet"])
def test_human_eval_rows_with_a_test_are_graded_by_it(tmp_path: Path, layout: str) -> None:
    """openai/human-eval and evalplus/humanevalplus; nothing tells base from plus there."""
    file = tmp_path / f"rows.{layout}"
    if layout == "parquet":
        write_parquet(file, [PUBLISHED])
    else:
        file.write_text(json.dumps(PUBLISHED))
    found = load(file, "humaneval-plus")
    assert len(found.problems[0].tests) == 1
    assert found.kind.subsets(found.problems[0]) == {}


def test_a_human_eval_row_that_is_none_is_named(tmp_path: Path) -> None:
    """By its line and the field that is wrong."""
    (tmp_path / "plus.jsonl").write_text(json.dumps(HALVE) + "\n" + json.dumps({**HALVE, "entry_point": "1 2"}))
    with pytest.raises(ValueError, match=r"plus\.jsonl: line 2: entry_point"):
        load(tmp_path / "plus.jsonl", "humaneval-plus")


def contest_line(id: int, participants: int = 201, **points: float | None) -> str:
    handles = [f"user{n}" for n in range(participants)]
    rows = [{"party": {"members": [{"handle": handle}]}, "points": 100.0, "penalty": 0} for handle in handles]
    problems = [
        {"contestId": id, "index": index, **({"points": p} if p is not None else {})} for index, p in points.items()
    ]
    changes = [{"contestId": id, "handle": handle, "oldRating": 1500, "newRating": 1500} for handle in handles]
    standings = {"contest": {"id": id, "name": "Round"}, "problems": problems, "rows": rows}
    return json.dumps({"standings": standings, "ratingChanges": changes})


def codeforces(folder: Path, problems: list[str], contests: list[str], **fields: Any):  # type: ignore[no-untyped-def]
    (folder / "problems.jsonl").write_text("\n".join(problem(id).model_dump_json() for id in problems))
    (folder / "standings.jsonl").write_text("\n".join(contests))
    (folder / "ratings.json").write_text(json.dumps({"1000": 3, "1400": 1, "1500": 1}))
    uris = {"ratingsUri": (folder / "ratings.json").as_uri(), "standingsUri": (folder / "standings.jsonl").as_uri()}
    return load(folder / "problems.jsonl", "codeforces", tests="samples", **uris, **fields)


def test_codeforces_from_answers_to_a_rating(tmp_path: Path) -> None:
    """One contest counts, one has no standings; at most two submissions count, so that the third, right, does not."""
    benchmark = codeforces(
        tmp_path, ["codeforces/1A", "codeforces/1B", "codeforces/2A"], [contest_line(1, A=500.0, B=1000.0)],
        maxSubmissions=2,
    )  # fmt: skip
    wrong = Verdict.WRONG_ANSWER
    outcomes = [
        *(outcome("codeforces/1A", n, verdict) for n, verdict in enumerate([wrong, Verdict.ACCEPTED, wrong])),
        *(outcome("codeforces/1B", n, verdict) for n, verdict in enumerate([wrong, wrong, Verdict.ACCEPTED])),
        *(outcome("codeforces/2A", n) for n in range(3)),
    ]
    rating = benchmark.kind.rating(benchmark.benchmark, benchmark.context, outcomes)
    assert rating is not None
    first, second = rating.contests
    assert (first.contest, first.score, first.solved, first.problems, first.rank) == ("1", 450.0, 1, 2, 0)
    assert (second.contest, second.rating, second.skipped) == ("2", None, "there are no standings of it")
    assert (rating.rating, rating.submissions, rating.tests) == (first.rating, 2, "samples")
    assert rating.percentile == 100.0
    assert length_score(benchmark, outcomes).rating == rating.rating


def test_only_who_was_rated_takes_part(tmp_path: Path) -> None:
    """Who is in the standings without a change of rating, or the other way round, does not count."""
    line = json.loads(contest_line(1, A=500.0))
    line["ratingChanges"] = [*line["ratingChanges"][:150], {"handle": "elsewhere", "oldRating": 3000}]
    benchmark = codeforces(tmp_path, ["codeforces/1A"], [json.dumps(line)])
    (contest,) = contest_ratings(benchmark.context, [outcome("codeforces/1A")], 1)
    assert contest.participants == 150
    assert "150 rated participants" in (contest.skipped or "")


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (problem("1971A"), ("1971", "A")),
        (problem("codeforces/1972D1"), ("1972", "D1")),
        (problem("x", metadata={"contest": "7", "index": "C"}), ("7", "C")),
    ],
)
def test_a_problem_stands_where_its_metadata_or_its_id_says(given: Any, place: tuple[str, str]) -> None:
    """Contest and index."""
    assert place_of(given) == place


@pytest.mark.parametrize(
    ("problems", "contests", "said"),
    [
        (["a"], [], "names no contest"),
        (["codeforces/1A", "1A"], [], "1A is there twice"),
        (["1A"], ["{}"], r"standings\.jsonl: line 1: standings: Field required"),
    ],
)
def test_codeforces_data_that_cannot_be_scored_is_refused(
    tmp_path: Path, problems: list[str], contests: list[str], said: str
) -> None:
    """By file and line, or by problem."""
    with pytest.raises(ValueError, match=said):
        codeforces(tmp_path, problems, contests)
