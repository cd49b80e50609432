"""Seconds in which neither generation nor training runs, by a clock that the test sets."""

from __future__ import annotations

import pytest

from deepcoder_trainer.orchestrator.idleness import IdleClock


class Now:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def total(idle: IdleClock) -> float:
    return sum(idle.take().values())


def test_seconds_outside_busy_are_idle(now: Now) -> None:
    """Two before, three after; five inside do not count."""
    idle = IdleClock(now)
    now.seconds = 2
    with idle.busy():
        now.seconds = 7
    now.seconds = 10
    assert total(idle) == 5


def test_what_overlaps_counts_once(now: Now) -> None:
    """Idle is where nobody is inside, however they come and go."""
    idle = IdleClock(now)
    first, second = idle.busy(), idle.busy()
    now.seconds = 1
    first.__enter__()
    now.seconds = 2
    second.__enter__()
    now.seconds = 4
    first.__exit__(None, None, None)
    now.seconds = 6
    second.__exit__(None, None, None)
    now.seconds = 6.5
    assert total(idle) == 1.5


def test_each_idle_second_is_taken_once(now: Now) -> None:
    """Also when it is asked for while somebody is inside."""
    idle = IdleClock(now)
    now.seconds = 1
    assert total(idle) == 1
    with idle.busy():
        now.seconds = 3
        assert total(idle) == 0
        now.seconds = 4
    now.seconds = 6
    assert total(idle) == 2
    assert total(idle) == 0


def test_failed_work_is_over(now: Now) -> None:
    """What raises inside is no longer busy."""
    idle = IdleClock(now)
    with pytest.raises(ValueError, match="no answer"), idle.busy():
        raise ValueError("no answer")
    now.seconds = 1
    assert total(idle) == 1


def test_idle_seconds_are_of_what_was_begun_last(now: Now) -> None:
    """Two grades under way while the loop samples, then its journal; what nobody names is other."""
    idle = IdleClock(now)
    sampling, first, second = idle.waiting("sample"), idle.waiting("grading"), idle.waiting("grading")
    now.seconds = 1
    sampling.__enter__()
    now.seconds = 3
    with idle.busy():
        first.__enter__()
        second.__enter__()
        now.seconds = 10
    now.seconds = 14
    first.__exit__(None, None, None)
    now.seconds = 22
    second.__exit__(None, None, None)
    sampling.__exit__(None, None, None)
    with idle.waiting("journal"):
        now.seconds = 38
    assert idle.take() == {"other": 1, "sample": 2, "grading": 12, "journal": 16}


def test_a_failed_wait_is_over(now: Now) -> None:
    """What is idle after it is not its."""
    idle = IdleClock(now)
    with pytest.raises(ValueError, match="no grade"), idle.waiting("grading"):
        raise ValueError("no grade")
    now.seconds = 1
    assert idle.take() == {"other": 1}
