"""Jobs that may be tried a few times: preflight, prepare, evaluator. Which try it is, and what follows. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_operator.endings import OUT_OF_MEMORY, cannot_start, failure_of, message_of, waiting_for
from deepcoder_operator.observed import Children, JobSeen
from deepcoder_operator.plan import Failure

MAX_TRIES = 5
MOST_OUT_OF_MEMORY = 2
# Tries that cost nothing end too: a cluster that takes every pod is no place for the Job.
MOST_JOBS = 20
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Trial:
    """Where the tries of a role stand. `number` is the try under way, or the one to start."""

    state: Literal["start", "running", "pause", "done", "failed"]
    number: int
    message: TerminationMessage | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    waiting: str = ""


def read_trial(children: Children, role: str, secrets: dict[str, str], now: datetime) -> Trial:
    """The state of the tries of `role`."""
    if any(job.role == role and job.terminating for job in children.jobs):
        return Trial("pause", 0, seconds=1.0, waiting=f"the old {role} Job is being deleted")
    jobs = children.jobs_of(role)
    if not jobs:
        return Trial("start", 1)
    job = jobs[-1]
    pods = children.pods_of(role, job.attempt)
    if job.complete:
        return Trial("done", job.attempt, message=message_of(pods, role))
    if not job.failed:
        stuck = cannot_start(pods, secrets, now)
        if stuck:
            return Trial("failed", job.attempt, failure=stuck)
        return Trial("running", job.attempt, waiting=waiting_for(pods, now))
    return _after_failure(
        [(job, failure_of(children.pods_of(role, job.attempt), f"Job {job.name}")) for job in jobs], now
    )


def _after_failure(tries: list[tuple[JobSeen, Failure]], now: datetime) -> Trial:
    """What follows a failed try. Tries that the cluster took cost nothing, as far as their pods can still tell."""
    job, failure = tries[-1]
    charged = [each for _, each in tries if each.heals != "free"]
    twice_out_of_memory = sum(each.reason == OUT_OF_MEMORY for each in charged) >= MOST_OUT_OF_MEMORY
    if failure.heals == "never" or twice_out_of_memory or len(charged) >= MAX_TRIES or job.attempt >= MOST_JOBS:
        return Trial("failed", job.attempt, failure=failure)
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (len(charged) - 1)) if charged else 0.0
    left = pause - (now - (job.ended_at or now)).total_seconds() if failure.heals == "retry" else 0.0
    if left > 0:
        return Trial("pause", job.attempt + 1, failure=failure, seconds=left)
    return Trial("start", job.attempt + 1, failure=failure)
