"""When a status is written: at once when something happened, else seldom; and what troubles make of it. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from deepcoder_api.manifest import ManifestError
from deepcoder_api.specification import kubernetes_form
from deepcoder_operator.carry_out import Trouble
from deepcoder_operator.draft import ENDED, Draft, ended
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Failure, Plan, Status

SECONDS_BETWEEN_PROGRESS = 15.0
# What changes while nothing happens. `message` is here too: what it tells of an event stands in a condition's reason.
_PROGRESS = frozenset(
    (
        *("message", "step", "reward", "truncatedFraction", "tokensPerSecond", "estimatedCompletion"),
        *("policyVersion", "rollout", "answered", "total"),
    )
)


def seconds_until_write(before: Status, after: Status, since_last_write: float) -> float | None:
    """After how many seconds `after` should be written over `before`; None when they are the same."""
    old, new = kubernetes_form(before), kubernetes_form(after)
    if old == new:
        return None
    if _milestones(old) != _milestones(new):
        return 0.0
    return max(0.0, SECONDS_BETWEEN_PROGRESS - since_last_write)


def _milestones(status: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in status.items() if key not in _PROGRESS}
    conditions = cast("list[dict[str, Any]]", status.get("conditions", []))
    kept["conditions"] = [(item["type"], item["status"], item["reason"]) for item in conditions]
    return kept


def troubled(
    status: Status, generation: int | None, children: Children, trouble: Trouble, now: datetime
) -> Plan[Status]:
    """The plan of a resource whose last plan could not be carried out: where it stood, and why it does not go on."""
    draft = Draft(status, generation, now, children)
    draft.begin()
    if trouble.final:
        return draft.fail(Failure(trouble.reason, trouble.message))
    return draft.wait(status.phase, trouble.reason, trouble.message, trouble.again_in)


def invalid(
    status: Status, generation: int | None, children: Children, error: ManifestError, now: datetime
) -> Plan[Status]:
    """The end of a resource that cannot be read: every wrong field is named."""
    if status.phase in ENDED:
        return ended(status, generation, children)
    problems = "\n".join(str(problem) for problem in error.problems)
    draft = Draft(status, generation, now, children)
    draft.begin()
    return draft.fail(Failure("InvalidSpec", problems))
