"""The load's own parts: the corpus is the same each time, and the account finds what is not as it must be."""

from __future__ import annotations

import itertools
import os

import pytest

from benchmarks.process_tree import memory_mib
from benchmarks.sandbox_load.accounting import Account, Expectation
from benchmarks.sandbox_load.corpus import HOSTILE_SHARE, make_corpus
from benchmarks.sandbox_load.report import SHOWN, ending, problems, spread
from benchmarks.sandbox_load.sample import Sample
from deepcoder_api.grading import GradeResult, TestResult, Verdict

CORPUS = make_corpus(3)
RIGHT = next(sample for sample in CORPUS.honest if sample.name == "divisor 0 right")
BOMB = next(sample for sample in CORPUS.hostile if sample.name == "hostile fork bomb")
EXPECTED = {
    RIGHT.name: Expectation((Verdict.ACCEPTED, Verdict.ACCEPTED), RIGHT.verdicts),
    BOMB.name: Expectation((Verdict.TIME_LIMIT, Verdict.TIME_LIMIT), BOMB.verdicts),
}


def grade(id: str, verdict: Verdict, *tests: Verdict) -> GradeResult:
    """A result with a verdict for each test that was run; by default for one."""
    return GradeResult(id=id, verdict=verdict, tests=tuple(TestResult(verdict=test) for test in tests or (verdict,)))


def account_of(*results: GradeResult, sample: Sample = RIGHT) -> Account:
    """Grade `a` is asked for, and these come back."""
    account = Account(EXPECTED)
    account.ask("a", sample)
    for result in results:
        account.answer(result, 0.5)
    return account


def test_corpus_is_the_same_each_time():
    """Problems, programs and the order in which a client draws them; another client draws another order."""
    assert make_corpus(3) == CORPUS

    def drawn(seed: str) -> list[str]:
        return [sample.name for sample in itertools.islice(CORPUS.draw(seed), 100)]

    assert drawn("1-0") == drawn("1-0") != drawn("1-1")


def test_corpus_has_each_name_once_and_programs_of_each_kind():
    """Right and wrong, on standard input with one and with ten tests, and called."""
    assert len({sample.name for sample in CORPUS.samples}) == len(CORPUS.samples)
    assert {len(sample.suite.tests) for sample in CORPUS.honest if sample.suite.entry_point is None} == {1, 10}
    assert {verdict for sample in CORPUS.honest for verdict in sample.verdicts} == {
        Verdict.ACCEPTED,
        Verdict.WRONG_ANSWER,
        Verdict.RUNTIME_ERROR,
        Verdict.NO_PROGRAM,
    }
    for samples in (CORPUS.honest, CORPUS.hostile):
        assert {bool(sample.suite.entry_point) for sample in samples} == {True, False}


def test_no_hostile_program_may_be_accepted_and_a_fixed_share_is_hostile():
    """Whatever the machine's pace."""
    forbidden = {Verdict.ACCEPTED, Verdict.INTERNAL_ERROR}
    assert all(sample.hostile and not sample.verdicts & forbidden for sample in CORPUS.hostile)
    drawn = list(itertools.islice(CORPUS.draw("share"), 4000))
    assert sum(sample.hostile for sample in drawn) / 4000 == pytest.approx(HOSTILE_SHARE, abs=0.015)


def test_grade_as_in_the_quiet_run_is_no_problem():
    """Asked for once, answered once, the same."""
    account = account_of(grade("a", Verdict.ACCEPTED))
    assert problems(account, []) == []
    assert (account.asked, account.graded, account.in_flight) == (1, 1, 0)


def test_grade_that_does_not_come_is_lost():
    """With the client's reason, if it gave one."""
    account = account_of()
    assert account.in_flight == 1
    assert account.lost == ["a (divisor 0 right): no answer"]
    account.fail("a", "GradeUnavailableError: gone")
    assert account.in_flight == 0
    assert problems(account, []) == ["lost: a (divisor 0 right): GradeUnavailableError: gone"]


def test_grade_that_comes_twice_or_unasked_is_doubled():
    """An answer under another's id is that one's second, and its own is lost."""
    twice = account_of(grade("a", Verdict.ACCEPTED), grade("a", Verdict.ACCEPTED))
    assert twice.doubled == ["a (divisor 0 right): answered 2 times"]
    crossed = account_of(grade("b", Verdict.ACCEPTED))
    assert crossed.doubled == ["b: answered, and never asked for"]
    assert crossed.lost == ["a (divisor 0 right): no answer"]


def test_id_is_asked_for_once():
    """Else the account could not tell the two apart."""
    account = account_of()
    with pytest.raises(ValueError, match="a was asked for before"):
        account.ask("a", RIGHT)


@pytest.mark.parametrize(
    "result",
    [
        grade("a", Verdict.WRONG_ANSWER),
        grade("a", Verdict.INTERNAL_ERROR),
        grade("a", Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.ACCEPTED),
    ],
)
def test_other_verdict_or_other_tests_are_different(result):
    """Also the same verdict after another number of tests."""
    (line,) = account_of(result).different
    assert line.startswith("a (divisor 0 right): ")


@pytest.mark.parametrize(
    ("verdict", "different"),
    [
        (Verdict.TIME_LIMIT, 0),
        (Verdict.RUNTIME_ERROR, 0),
        (Verdict.ACCEPTED, 1),
        (Verdict.WRONG_ANSWER, 1),
    ],
)
def test_where_several_verdicts_are_right_any_of_them_will_do(verdict, different):
    """A fork bomb meets the clock or the bound on processes first."""
    assert len(account_of(grade("a", verdict), sample=BOMB).different) == different


def test_spread_is_by_nearest_rank():
    """Of nothing there is none."""
    assert spread([]) == {}
    assert spread([3.0]) == {"p50": 3.0, "p99": 3.0, "max": 3.0}
    assert spread([float(n) for n in range(200, 0, -1)]) == {"p50": 100.0, "p99": 198.0, "max": 200.0}


def test_end_lists_the_first_problems_and_counts_the_rest():
    """The file has them all."""
    assert ending([]) == "every grade came once, as in the quiet run"
    said = ending([f"lost: {number}" for number in range(SHOWN + 2)])
    assert said.startswith(f"{SHOWN + 2} problems\nlost: 0\n")
    assert said.endswith("and 2 more, in the file")


def test_memory_counts_files_in_memory_once():
    """However many descriptors there are of one of gVisor's."""
    before = memory_mib(os.getpid())
    first = os.memfd_create("runsc-memory")
    second = os.dup(first)
    try:
        os.write(first, bytes(32 << 20))
        assert memory_mib(os.getpid()) - before == pytest.approx(32, abs=8)
    finally:
        os.close(first)
        os.close(second)
