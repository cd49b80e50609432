"""Why pods ended, and why they cannot start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepcoder_operator.endings import cannot_start, failure_of, message_of, waiting_for
from deepcoder_operator.observed import ContainerEnd, PodSeen
from deepcoder_operator.plan import Failure
from tests.operator_builders import after, ends, pod, says, waits

SECRETS = {"s3": "spec.storage.secretName"}
NOT_FOUND = 'failed to pull and unpack image "r/a:1": failed to resolve reference "r/a:1": r/a:1: not found'
NO_ANSWER = 'failed to do request: Head "https://r/v2/a": dial tcp 10.0.0.1:443: i/o timeout'


def trainer(index: int = 0, **changes: Any) -> PodSeen:
    return pod("trainer", 1, index=index, **changes)


@pytest.mark.parametrize(
    ("how", "reason", "heals", "cause"),
    [
        (ends("trainer", 64, says("permanent", reason="BadData", cause="no")), "BadData", "never", "no"),
        (ends("trainer", 75, says("retryable", reason="Lost", cause="later")), "Lost", "retry", "later"),
        # The message counts, whatever the exit code became on its way.
        (ends("trainer", 1, says("permanent", reason="BadData", cause="no")), "BadData", "never", "no"),
        (ends("trainer", 75, says("retryable")), "ContainerFailed", "retry",
         "container trainer ended with exit code 75"),
        (ends("trainer", 64, "Traceback"), "ContainerFailed", "never",
         "container trainer of pod tiny-tr-trainer-1-0-x ended with exit code 64"),
        (ends("trainer", 1, "Traceback"), "ContainerFailed", "retry",
         "container trainer of pod tiny-tr-trainer-1-0-x ended with exit code 1"),
        (ends("trainer", 128, "", "StartError"), "ContainerFailed", "retry",
         "container trainer of pod tiny-tr-trainer-1-0-x ended with exit code 128 (StartError)"),
        (ends("trainer", 137, "", "OOMKilled"), "OutOfMemory", "retry",
         "container trainer of pod tiny-tr-trainer-1-0-x used more memory than its limit and was killed"),
        (ends("model", 64, says("permanent", reason="ModelNotFound", cause="gone")), "ModelNotFound", "never", "gone"),
        (ends("trainer", 137, "The container could not be located", "ContainerStatusUnknown"), "PodTaken", "free",
         "pod tiny-tr-trainer-1-0-x was lost with its node"),
        ({"disrupted": "preempting"}, "PodTaken", "free", "pod tiny-tr-trainer-1-0-x was taken away: preempting"),
        ({"terminating": True}, "PodTaken", "free", "pod tiny-tr-trainer-1-0-x was taken away: it was deleted"),
        ({"evicted": "over its limit", **ends("trainer", 137)}, "Evicted", "retry",
         "pod tiny-tr-trainer-1-0-x was evicted for what it used: over its limit"),
    ],
)  # fmt: skip
def test_why_a_pod_ended(how: dict[str, Any], reason: str, heals: str, cause: str) -> None:
    """Cause, a word for machines, and what helps: nothing, another try, or a free one."""
    failure = failure_of([trainer(**how)], "Job tiny-tr-trainer-1")
    assert (failure.reason, failure.heals, failure.cause) == (reason, heals, cause)
    assert failure.pod == "tiny-tr-trainer-1-0-x"


def test_last_lines_are_kept_when_there_is_no_message() -> None:
    """What FallbackToLogsOnError put there; of a message of ours the cause says it all."""
    assert failure_of([trainer(**ends("trainer", 1, "Traceback\nValueError"))], "Job").log == "Traceback\nValueError"
    assert failure_of([trainer(**ends("trainer", 75, says("retryable", cause="later")))], "Job").log == ""


def test_the_first_to_fail_explains_the_others() -> None:
    """Ranks that lose their peer fail too, a little later."""
    first = trainer(1, **ends("trainer", 1, "the cause", at=10.0))
    second = trainer(0, **ends("trainer", 1, "connection reset", at=11.0))
    assert failure_of([second, first], "Job").log == "the cause"


def test_of_two_that_failed_at_once_the_lower_index_speaks() -> None:
    """Pod 0 holds the orchestrator; an end without a time comes last."""
    zero, one = trainer(0, **ends("trainer", 1, "zero")), trainer(1, **ends("trainer", 1, "one"))
    assert failure_of([one, zero], "Job").log == "zero"
    timeless = trainer(0, phase="Failed", ends=(ContainerEnd("trainer", 1, "", "timeless"),))
    assert failure_of([timeless, one], "Job").log == "one"


def test_a_pod_that_is_taken_because_another_failed_is_not_the_cause() -> None:
    """The Job ends the rest; the one that failed by itself is told."""
    failed, taken = trainer(1, **ends("trainer", 64, "cause")), trainer(0, terminating=True)
    assert failure_of([taken, failed], "Job").log == "cause"


def test_a_pod_that_is_gone_took_what_it_said_with_it() -> None:
    """Nobody's fault: a pod that fails stays."""
    assert failure_of([], "Job tiny-tr-trainer-1") == Failure(
        "PodGone", "the pod of Job tiny-tr-trainer-1 is gone, and with it what it said", "free"
    )


def test_an_earlier_container_that_did_its_work_is_no_failure() -> None:
    """Only what ended with another code than 0 counts."""
    both = (ContainerEnd("model", 0, "Completed"), ContainerEnd("trainer", 1, "Error", "log"))
    assert failure_of([trainer(phase="Failed", ends=both)], "Job").container == "trainer"


def test_the_message_of_a_container_is_found_among_all_pods() -> None:
    """The first that left one of ours; log lines and other containers do not count."""
    pods = [
        trainer(0, **ends("model", 0, says("done", uri="s3://not/this"))),
        trainer(1, **ends("trainer", 1, "Traceback")),
        trainer(2, **ends("trainer", 0, says("done", uri="s3://this"))),
    ]
    message = message_of(pods, "trainer")
    assert message is not None
    assert message.uri == "s3://this"
    assert message_of(pods[:2], "trainer") is None


@pytest.mark.parametrize(
    ("reason", "message", "seconds", "failure"),
    [
        ("CreateContainerConfigError", 'secret "s3" not found', 19, None),
        ("CreateContainerConfigError", 'secret "s3" not found', 20, "SecretNotFound"),
        ("CreateContainerConfigError", "couldn't find key A in Secret team/s3", 20, "SecretKeyNotFound"),
        ("CreateContainerConfigError", 'configmap "x" not found', 20, "ContainerConfigError"),
        ("ErrImagePull", NOT_FOUND, 89, None),
        ("ErrImagePull", NOT_FOUND, 90, "ImageNotFound"),
        ("ImagePullBackOff", f'Back-off pulling image "r/a:1": ErrImagePull: {NOT_FOUND}', 90, "ImageNotFound"),
        ("ErrImagePull", "pull access denied, repository does not exist", 90, "ImageNotFound"),
        ("ErrImagePull", "401 Unauthorized", 90, "ImageNotFound"),
        ("ErrImageNeverPull", 'Container image "r/a:1" is not present with pull policy of Never', 90, "ImageNotFound"),
        ("InvalidImageName", 'couldn\'t parse image name "A B"', 0, "ImageNotFound"),
        # A registry that does not answer says nothing of the image.
        ("ErrImagePull", NO_ANSWER, 899, None),
        ("ImagePullBackOff", NO_ANSWER, 900, "ImageNotFound"),
        ("CrashLoopBackOff", "back-off 5m0s", 100_000, None),
        ("CreateContainerError", "context deadline exceeded", 100_000, None),
    ],
)
def test_what_keeps_a_pod_from_starting(reason: str, message: str, seconds: float, failure: str | None) -> None:
    """What will not heal by waiting, once its grace is over; the rest is waited for."""
    found = cannot_start([trainer(**waits(reason, message, "trainer"))], SECRETS, after(seconds))
    assert (found.reason if found else None) == failure
    if found:
        assert (found.heals, found.container, found.pod) == ("never", "trainer", "tiny-tr-trainer-1-0-x")


@pytest.mark.parametrize(
    "waited",
    [
        {"scheduled_at": after(1000)},
        {"ends": (ContainerEnd("model", 0, "Completed", "", after(1000)),)},
    ],
)
def test_a_grace_counts_from_when_the_container_could_start(waited: dict[str, Any]) -> None:
    """Neither the wait for a node nor the download of the model uses it up."""
    stuck = replace(trainer(**waits("ErrImagePull", NOT_FOUND)), **waited)
    assert cannot_start([stuck], {}, after(1089)) is None
    assert cannot_start([stuck], {}, after(1090)) is not None


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('secret "s3" not found', 'spec.storage.secretName: "s3": there is no such Secret in this namespace'),
        ('secret "other" not found', 'Secret "other": there is no such Secret in this namespace'),
        (
            "couldn't find key AWS_ACCESS_KEY_ID in Secret team/s3",
            'spec.storage.secretName: "s3": the Secret has no key AWS_ACCESS_KEY_ID',
        ),
        ("couldn't find key HF_TOKEN in Secret hf", 'Secret "hf": the Secret has no key HF_TOKEN'),
        ('configmap "x" not found', 'configmap "x" not found'),
    ],
)
def test_a_secret_is_named_by_the_field_that_names_it(message: str, cause: str) -> None:
    """What the user wrote is what the message speaks of."""
    found = cannot_start([trainer(**waits("CreateContainerConfigError", message))], SECRETS, after(60))
    assert found is not None
    assert found.cause.startswith(cause)


def test_a_claim_that_is_not_there_fails_after_its_grace() -> None:
    """The scheduler says so; other things that it says may change."""
    said = '0/1 nodes are available: persistentvolumeclaim "models" not found. preemption: not helpful.'
    assert cannot_start([trainer(unschedulable=said)], {}, after(19)) is None
    found = cannot_start([trainer(unschedulable=said)], {}, after(20))
    assert found is not None
    assert (found.reason, found.cause) == (
        "ClaimNotFound",
        'the PersistentVolumeClaim "models" does not exist in this namespace',
    )
    busy = trainer(unschedulable="0/1 nodes are available: 1 Insufficient cpu.")
    assert cannot_start([busy], {}, after(100_000)) is None


def test_a_pod_that_is_being_deleted_neither_fails_nor_is_waited_for() -> None:
    """Its successor counts."""
    old = trainer(terminating=True, **waits("InvalidImageName", "bad"))
    assert cannot_start([old], {}, after(0)) is None
    assert waiting_for([old], after(0)) == ""


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        ([], ""),
        ([trainer(phase="Running")], ""),
        (
            [trainer(), trainer(1, unschedulable="0/1 nodes")],
            "pod tiny-tr-trainer-1-1-x cannot be scheduled: 0/1 nodes",
        ),
        (
            [trainer(**waits("ErrImagePull", "later", "model"))],
            "container model of pod tiny-tr-trainer-1-0-x: ErrImagePull later",
        ),
        ([trainer(**waits("CrashLoopBackOff"))], "container c of pod tiny-tr-trainer-1-0-x: CrashLoopBackOff"),
    ],
)
def test_what_pods_wait_for(pods: list[PodSeen], said: str) -> None:
    """The first that says something, in the cluster's own words."""
    assert waiting_for(pods, after(0)) == said


@pytest.mark.parametrize(("seconds", "said"), [(29, False), (30, True), (3000, True)])
def test_a_node_that_does_not_start_a_pod_shows(seconds: float, said: bool) -> None:
    """A RuntimeClass whose handler is not on the node leaves its pod bare, and no container says so."""
    waiting = waiting_for([trainer(bare_since=after(0))], after(seconds))
    assert ("`kubectl describe pod tiny-tr-trainer-1-0-x` says which" in waiting) is said
