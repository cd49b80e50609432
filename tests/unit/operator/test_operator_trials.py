"""Jobs that may be tried a few times: which try it is, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_operator.observed import Children, JobSeen, PodSeen
from deepcoder_operator.trials import Trial, read_trial
from tests.operator_builders import after, ends, job, pod, says, waits

RETRY: dict[str, Any] = ends("prepare", 75, says("retryable", reason="Lost", cause="later"))
OUT_OF_MEMORY: dict[str, Any] = ends("prepare", 137, "", "OOMKilled")
TAKEN: dict[str, Any] = {"disrupted": "preempted"}


def read(jobs: list[JobSeen], pods: list[PodSeen], seconds: float = 1000.0) -> Trial:
    return read_trial(Children(jobs=tuple(jobs), pods=tuple(pods)), "prepare", {}, after(seconds))


def failed(*hows: dict[str, Any], seconds: float = 1000.0) -> Trial:
    """Where it stands after tries that failed so, the last of them at NOW."""
    jobs = [job("prepare", number, failed=True, ended_at=after(0)) for number in range(1, len(hows) + 1)]
    return read(jobs, [pod("prepare", number, **how) for number, how in enumerate(hows, 1)], seconds)


def test_the_first_try_is_number_one() -> None:
    """Jobs of other roles do not count."""
    assert read([job("trainer", 7)], []) == Trial("start", 1)


def test_a_try_under_way() -> None:
    """It may wait for something."""
    assert read([job("prepare")], [pod("prepare", 1)]) == Trial("running", 1)
    waiting = read([job("prepare")], [pod("prepare", 1, unschedulable="no node")])
    assert (waiting.state, waiting.waiting) == ("running", "pod tiny-tr-prepare-1-0-x cannot be scheduled: no node")


def test_a_try_that_is_done_brings_what_it_said() -> None:
    """None when its pod is gone."""
    done = read([job("prepare", complete=True)], [pod("prepare", 1, **ends("prepare", 0, says("done", uri="s3://d")))])
    assert done.state == "done"
    assert done.message is not None
    assert done.message.uri == "s3://d"
    assert read([job("prepare", complete=True)], []) == Trial("done", 1)


def test_the_newest_try_counts() -> None:
    """Older ones stay for their logs."""
    assert read([job("prepare", 2), job("prepare", 1, failed=True)], [pod("prepare", 1, **RETRY)]).number == 2


def test_a_try_that_cannot_start_has_failed() -> None:
    """Its Job goes on waiting, so the operator decides."""
    stuck = read([job("prepare")], [pod("prepare", 1, **waits("InvalidImageName", "bad"))])
    assert stuck.state == "failed"
    assert stuck.failure is not None
    assert stuck.failure.reason == "ImageNotFound"


def test_a_job_that_is_being_deleted_is_waited_for() -> None:
    """Its name, and its pod's work, are not free yet."""
    trial = read([job("prepare", terminating=True)], [])
    assert (trial.state, trial.seconds) == ("pause", 1.0)
    assert trial.waiting == "the old prepare Job is being deleted"


@pytest.mark.parametrize(("tries", "pause"), [(1, 5.0), (2, 10.0), (3, 20.0), (4, 40.0)])
def test_pauses_double(tries: int, pause: float) -> None:
    """Counted from the end of the last Job."""
    trial = failed(*[RETRY] * tries, seconds=1.0)
    assert (trial.state, trial.number, trial.seconds) == ("pause", tries + 1, pause - 1.0)
    assert failed(*[RETRY] * tries, seconds=pause) == Trial("start", tries + 1, failure=trial.failure)


def test_the_fifth_failure_is_the_last() -> None:
    """With the cause of the last."""
    trial = failed(*[RETRY] * 5)
    assert (trial.state, trial.failure and trial.failure.cause) == ("failed", "later")


def test_what_cannot_heal_is_not_tried_again() -> None:
    """At once."""
    assert failed(ends("prepare", 64, says("permanent", cause="no"))).state == "failed"


def test_out_of_memory_twice_is_not_tried_again() -> None:
    """The limit is too small."""
    assert failed(OUT_OF_MEMORY).state == "start"
    assert failed(OUT_OF_MEMORY, OUT_OF_MEMORY).state == "failed"


def test_tries_that_the_cluster_took_cost_nothing() -> None:
    """No pause, and ten of them leave as many tries as before."""
    trial = failed(TAKEN, seconds=0.0)
    assert (trial.state, trial.number) == ("start", 2)
    assert failed(*[TAKEN] * 10).state == "start"
    assert failed(*[TAKEN] * 10, RETRY, RETRY, RETRY, RETRY).state == "start"
    assert failed(*[TAKEN] * 10, RETRY, RETRY, RETRY, RETRY, RETRY).state == "failed"
    assert failed(*[TAKEN] * 10, RETRY, seconds=0.0).seconds == 5.0


def test_a_cluster_that_takes_every_pod_ends_it_too() -> None:
    """Nothing is tried without a bound."""
    assert failed(*[TAKEN] * 19).state == "start"
    assert failed(*[TAKEN] * 20).state == "failed"
