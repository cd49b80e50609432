"""Deleting a run removes all that it owned, by the cluster's own garbage collection; a new one of its name goes on."""

from __future__ import annotations

from tests.integration.operator.cluster_hand import Hand, eventually
from tests.operator_builders import run_spec


def test_nothing_owned_is_left_after_a_deletion(hand: Hand) -> None:
    """Jobs, Deployments, their pods, Services, accounts, policies, budgets and the ConfigMap are gone."""
    uid = hand.create("TrainingRun", "tiny", spec=run_spec())["metadata"]["uid"]
    hand.end_pod("tiny", "preflight", "done")
    hand.pod("tiny", "sandbox")
    eventually("one of each kind", lambda: len(hand.owned(uid)) == 8)
    hand.delete("TrainingRun", "tiny")
    eventually("deletion of all that the run owned", lambda: hand.owned(uid) == {}, seconds=60)


def test_a_run_of_the_same_name_starts_anew_while_the_old_one_goes(hand: Hand) -> None:
    """What the old run owned is waited for and never taken over."""
    old = hand.create("TrainingRun", "tiny", spec=run_spec())["metadata"]["uid"]
    hand.pod("tiny", "preflight")
    hand.delete("TrainingRun", "tiny")
    new = hand.create("TrainingRun", "tiny", spec=run_spec())["metadata"]["uid"]
    eventually("deletion of what the old run owned", lambda: hand.owned(old) == {}, seconds=60)

    def belongs_to_the_new_run() -> bool:
        job = hand.get("Job", "tiny-tr-preflight-1")
        return job is not None and job["metadata"]["ownerReferences"][0]["uid"] == new

    eventually("preflight Job of the new run", belongs_to_the_new_run, seconds=60)
