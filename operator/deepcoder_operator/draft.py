"""A status being worked out: starts from the last one, collects changes and conditions, ends as a Plan. No I/O.

Ready and Stalled are what kstatus reads: Stalled True means failed, so nothing that may still heal sets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Generic

from deepcoder_api.status import Condition, ConditionStatus, is_true, with_condition
from deepcoder_api.training_run import FailureStatus
from deepcoder_operator.observed import Children
from deepcoder_operator.plan import Action, Failure, Plan, Status, release

ENDED = ("Succeeded", "Failed")


def rfc3339(moment: datetime) -> str:
    """The moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Draft(Generic[Status]):
    """Collects what changes in a status."""

    def __init__(self, status: Status, generation: int | None, now: datetime, children: Children) -> None:
        self._status: Status = status
        self._generation = generation
        self._now = now
        self._children = children
        self._changes: dict[str, Any] = {"observed_generation": generation}
        self._conditions: list[Condition] = list(status.conditions)
        self._look_by: datetime | None = None
        self.actions: list[Action] = []

    def begin(self) -> None:
        """The time from which the resource is under way, kept from the first call on."""
        if self._status.start_time is None:
            self.set(start_time=rfc3339(self._now))

    def look_by(self, moment: datetime) -> None:
        """Something is due then: the plan looks again no later, whatever happens or does not."""
        self._look_by = moment

    def set(self, **changes: Any) -> None:
        """Change fields, by their Python names."""
        self._changes |= changes

    def condition(self, type: str, status: ConditionStatus, reason: str, message: str = "") -> None:
        """Set a condition."""
        self._conditions = with_condition(
            self._conditions, type, status, reason, message, generation=self._generation, now=rfc3339(self._now)
        )

    def is_true(self, type: str) -> bool:
        """Whether a condition is True by now."""
        return is_true(self._conditions, type)

    def phase(self, phase: str, message: str, *, ready: bool = False, reason: str | None = None) -> None:
        """Set phase and message, and Ready with them. `message` must not hold what changes at every look."""
        self.set(phase=phase, message=message[:4096])
        self.condition("Ready", "True" if ready else "False", reason or phase, message)

    def wait(self, phase: str, reason: str, message: str, again_in: float | None = None) -> Plan[Status]:
        """Something outside must change first; say what."""
        self.phase(phase, message, reason=reason)
        return self.plan(again_in)

    def plan(self, again_in: float | None = None) -> Plan[Status]:
        """The plan, with the actions collected."""
        if self._look_by is not None:
            due = max(0.0, (self._look_by - self._now).total_seconds())
            again_in = due if again_in is None else min(again_in, due)
        changes = {**self._changes, "conditions": _of_generation(self._conditions, self._generation)}
        return Plan(self._status.model_copy(update=changes), tuple(self.actions), again_in)

    def fail(self, failure: Failure, attempt: int | None = None) -> Plan[Status]:
        """The end: nothing heals it. What is still running is released."""
        self.failure(failure, attempt)
        self.phase("Failed", failure.cause, reason=failure.reason)
        self.condition("Failed", "True", failure.reason, failure.cause)
        self.condition("Stalled", "True", failure.reason, failure.cause)
        self.condition("Complete", "False", failure.reason, failure.cause)
        return self._end()

    def succeed(self, message: str) -> Plan[Status]:
        """The good end."""
        self.set(failure=None)
        self.phase("Succeeded", message, ready=True, reason="Succeeded")
        self.condition("Complete", "True", "Succeeded", message)
        self.condition("Failed", "False", "Succeeded")
        return self._end()

    def failure(self, failure: Failure, attempt: int | None = None) -> None:
        """Keep what went wrong, as far as the pods told."""
        told = FailureStatus(
            attempt=attempt,
            time=rfc3339(self._now),
            pod=failure.pod,
            container=failure.container,
            exit_code=failure.exit_code,
            cause=failure.cause[:4096],
            log=failure.log[-8192:],
        )
        self.set(failure=told)

    def _end(self) -> Plan[Status]:
        self.set(completion_time=rfc3339(self._now))
        self.actions = list(release(self._children))
        self._look_by = None
        return self.plan()


def ended(status: Status, generation: int | None, children: Children) -> Plan[Status]:
    """The plan of a resource that has ended: only what it no longer needs goes, and a changed spec is noticed."""
    conditions = _of_generation(status.conditions, generation)
    seen = status.model_copy(update={"observed_generation": generation, "conditions": conditions})
    return Plan(seen, release(children))


def _of_generation(conditions: Sequence[Condition], generation: int | None) -> list[Condition]:
    # All were looked at again, and hold: `kubectl wait` takes no condition of an older generation.
    return [item.model_copy(update={"observed_generation": generation}) for item in conditions]
