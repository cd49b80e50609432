"""Scores: pass@k against counting, and a report that never takes an ungraded answer for a wrong one."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.grading import Verdict
from deepcoder_evaluation.scoring import benchmark_report, length_histogram, length_score, pass_at_k, powers_of_two
from tests.unit.evaluation.evaluation_builders import loaded, outcome, problem

WRONG = Verdict.WRONG_ANSWER


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


@pytest.mark.parametrize(("count", "expected"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])])
def test_k_are_the_powers_of_two_and_all(count: int, expected: list[int]) -> None:
    """As far as there are answers."""
    assert powers_of_two(count) == expected


def test_a_score_by_hand() -> None:
    """Problem a: 1 of 2, b: 2 of 2: pass@1 is 3/4, pass@2 is 1. One answer of four was cut off."""
    outcomes = [
        outcome("a", 0),
        outcome("a", 1, Verdict.TIME_LIMIT),
        outcome("b", 0, finish_reason="length"),
        outcome("b", 1),
    ]
    score = length_score(loaded(), outcomes)
    assert (score.pass_at_1, score.pass_at_k, score.truncated_fraction) == (0.75, {"1": 0.75, "2": 1.0}, 0.25)
    assert score.verdicts == {"accepted": 3, "time_limit": 1}
    assert score.interval == (0.5, 1.0)
    assert (score.repeats, score.standard_deviation) == ((0.75,), None)


def test_repeats_have_a_score_each_and_a_spread() -> None:
    """1 and 1/2: their unbiased deviation is sqrt(1/8); together they are four answers to two problems."""
    outcomes = [outcome(p, repeat=r, verdict=WRONG if (p, r) == ("b", 1) else Verdict.ACCEPTED)
                for p in "ab" for r in (0, 1)]  # fmt: skip
    score = length_score(loaded(repeats=2), outcomes)
    assert score.repeats == (1.0, 0.5)
    assert score.standard_deviation == pytest.approx(0.125**0.5)
    assert score.pass_at_1 == 0.75
    assert score.pass_at_k["2"] == 1.0


def test_scores_are_also_by_difficulty_platform_and_month() -> None:
    """By what the problems say of themselves; who says nothing is in no group."""
    metadata = {"difficulty": "hard", "platform": "atcoder", "contest_date": "2024-08-03"}
    given = [problem("a", metadata=metadata), problem("b", metadata={"difficulty": "easy"}), problem("c")]
    score = length_score(loaded(given), [outcome("a"), outcome("b", verdict=WRONG), outcome("c")])
    told = {name: {value: one.pass_at_1 for value, one in values.items()} for name, values in score.groups.items()}
    assert told == {
        "difficulty": {"easy": 0.0, "hard": 1.0}, "month": {"2024-08": 1.0}, "platform": {"atcoder": 1.0},
    }  # fmt: skip


def test_a_problem_weighs_the_same_however_often_it_was_answered() -> None:
    """The mean is over problems: 1 of 1 and 0 of 3 are a half, not a quarter."""
    outcomes = [outcome("a"), *(outcome("b", sample, WRONG) for sample in range(3))]
    assert length_score(loaded(), outcomes).pass_at_1 == 0.5


def test_an_answer_without_a_grade_is_no_wrong_answer() -> None:
    """The grader's own failure makes no score: it is an error that names the problem."""
    with pytest.raises(ValueError, match="problem 'b' of 'held-out' was not graded: out of disk"):
        length_score(loaded(), [outcome("a"), outcome("b", verdict=Verdict.INTERNAL_ERROR, detail="out of disk")])


def test_no_answers_make_no_score() -> None:
    """Zero of zero is not zero."""
    with pytest.raises(ValueError, match="no answers"):
        benchmark_report(loaded(), [], "last-python-block")


def test_a_report_has_every_limit_in_order_and_the_last_is_its_own() -> None:
    """At 8 tokens both answers are cut, at 64 none."""
    outcomes = [
        outcome(p, tokens=tokens, verdict=WRONG if tokens == 8 else Verdict.ACCEPTED, exact=tokens == 64,
                finish_reason="length" if tokens == 8 else "stop", answer_tokens=min(tokens, 10))
        for p in "ab" for tokens in (64, 8)
    ]  # fmt: skip
    report = benchmark_report(loaded(), outcomes, "lcb")
    assert [(one.tokens, one.pass_at_1, one.truncated_fraction, one.exact) for one in report.scores] == [
        (8, 0.0, 1.0, False), (64, 1.0, 0.0, True),
    ]  # fmt: skip
    assert (report.pass_at_1, report.truncated_fraction, report.verdicts) == (1.0, 0.0, {"accepted": 2})
    assert (report.problems, report.samples, report.extraction, report.mean_answer_tokens) == (2, 2, "lcb", 10)


@given(st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), min_size=1, max_size=50))
def test_a_histogram_holds_every_answer_in_its_bin(answers: list[tuple[int, bool]]) -> None:
    """Counted by hand from the edges."""
    outcomes = [outcome(answer_tokens=n, verdict=Verdict.ACCEPTED if ok else WRONG) for n, ok in answers]
    histogram = length_histogram(outcomes)
    for place, (low, high) in enumerate(zip(histogram.edges, histogram.edges[1:], strict=False)):
        inside = [ok for n, ok in answers if low <= n < high]
        assert (histogram.accepted[place], histogram.others[place]) == (sum(inside), len(inside) - sum(inside))
    assert sum(histogram.accepted) + sum(histogram.others) == len(answers)
