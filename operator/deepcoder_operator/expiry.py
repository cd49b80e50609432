"""spec.ttlSecondsAfterFinished: what an ended resource still has goes, the resource itself never. Pure.

Its Jobs go, and with them their pods and logs. Accounts, policies and the frozen configuration cost nothing and go with
the resource: the operator has no right to delete them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Delete, Plan, Status
from deepcoder_operator.projection import parse_time


def seconds_left(completion_time: str | None, ttl_seconds: int | None, now: datetime) -> float | None:
    """Until the resource's children go; 0 when that is due, None when they stay."""
    ended_at = parse_time(completion_time)
    if ended_at is None or ttl_seconds is None:
        return None
    return max(0.0, (ended_at + timedelta(seconds=ttl_seconds) - now).total_seconds())


def with_expiry(plan: Plan[Status], children: Children, left: float | None) -> Plan[Status]:
    """The plan of an ended resource with what `seconds_left` says: a look when it is due, and then the Jobs' end."""
    if left is None:
        return plan
    if left > 0:
        return replace(plan, again_in=left if plan.again_in is None else min(plan.again_in, left))
    going = {action.uid for action in plan.actions if isinstance(action, Delete)}
    jobs = (job for job in children.jobs if not job.terminating and job.uid not in going)
    return replace(plan, actions=(*plan.actions, *(Delete("Job", job.name, job.uid) for job in jobs)))
