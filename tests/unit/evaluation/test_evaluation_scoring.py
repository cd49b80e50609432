"""Scores: pass@k against counting, and a report that never takes an ungraded answer for a wrong one."""

from __future__ import annotations

from itertools import combinations

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.artifacts import EVALUATION_SAMPLE_COLUMNS
from deepcoder_api.grading import Verdict
from deepcoder_evaluation.answers import samples_table
from deepcoder_evaluation.scoring import pass_at_k, score
from tests.unit.evaluation.evaluation_builders import BENCHMARK, graded


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_choices_with_an_accepted_answer(case: tuple[int, int, int]) -> None:
    """All ways to choose k of the answers, counted one by one."""
    samples, accepted, k = case
    choices = list(combinations([True] * accepted + [False] * (samples - accepted), k))
    assert pass_at_k(samples, accepted, k) == pytest.approx(sum(map(any, choices)) / len(choices), abs=1e-12)


def test_pass_at_k_does_not_overflow() -> None:
    """C(2000, 1000) has 600 digits; the product has none of them."""
    assert pass_at_k(2000, 1, 1000) == pytest.approx(0.5)


@pytest.mark.parametrize("case", [(4, 2, 0), (4, 2, 5), (4, 5, 1), (4, -1, 1)])
def test_pass_at_k_refuses_what_is_no_case(case: tuple[int, int, int]) -> None:
    """k outside the answers, or more accepted than there are."""
    with pytest.raises(ValueError, match="is outside"):
        pass_at_k(*case)


def test_a_report_by_hand() -> None:
    """Problem a: 1 of 2, b: 2 of 2: pass@1 is 3/4. One answer of four was cut off."""
    answers = [
        graded("a", 0, Verdict.ACCEPTED),
        graded("a", 1, Verdict.TIME_LIMIT),
        graded("b", 0, Verdict.ACCEPTED, finish_reason="length"),
        graded("b", 1, Verdict.ACCEPTED),
    ]
    report = score(BENCHMARK, answers)
    assert (report.problems, report.samples) == (2, 4)
    assert (report.pass_at_1, report.truncated_fraction) == (0.75, 0.25)
    assert report.verdicts == {"accepted": 3, "time_limit": 1}
    assert (report.name, report.uri) == ("held-out", "s3://bucket/held-out.jsonl")


def test_a_problem_weighs_the_same_however_often_it_was_answered() -> None:
    """The mean is over problems: 1 of 1 and 0 of 3 are a half, not a quarter."""
    answers = [graded("a"), *(graded("b", sample, Verdict.WRONG_ANSWER) for sample in range(3))]
    assert score(BENCHMARK, answers).pass_at_1 == 0.5


def test_an_answer_without_a_grade_is_no_wrong_answer() -> None:
    """The grader's own failure makes no score: it is an error that names the problem."""
    with pytest.raises(ValueError, match="problem 'b' of 'held-out' was not graded: out of disk"):
        score(BENCHMARK, [graded("a"), graded("b", verdict=Verdict.INTERNAL_ERROR, detail="out of disk")])


def test_no_answers_make_no_score() -> None:
    """Zero of zero is not zero."""
    with pytest.raises(ValueError, match="no answers"):
        score(BENCHMARK, [])


def test_the_table_has_one_row_an_answer_in_order(tmp_path) -> None:
    """Columns as the contract names them; benchmark, problem and sample order the rows; any text comes back."""
    answers = [
        graded("b", 0, Verdict.NO_PROGRAM, test_verdicts=(), answer="ünïcode \x00 \U0001f600"),
        graded("a", 1, Verdict.WRONG_ANSWER, test_verdicts=("accepted", "wrong_answer")),
        graded("a", 0),
    ]
    pq.write_table(samples_table(answers), tmp_path / "samples.parquet")
    table = pq.read_table(tmp_path / "samples.parquet")
    rows = table.to_pylist()
    assert tuple(table.column_names) == EVALUATION_SAMPLE_COLUMNS
    assert [(row["problem"], row["sample"], row["verdict"]) for row in rows] == [
        ("a", 0, "accepted"), ("a", 1, "wrong_answer"), ("b", 0, "no_program"),
    ]  # fmt: skip
    assert [row["test_verdicts"] for row in rows] == [["accepted"], ["accepted", "wrong_answer"], []]
    assert rows[2]["answer"] == "ünïcode \x00 \U0001f600"
