"""A status being worked out: starts from the last one, collects changes and conditions, ends as a Plan. No I/O."""

from __future__ import annotations

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
        self.actions: list[Action] = []
        if status.start_time is None:
            self.set(start_time=rfc3339(now))

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

    def unstall(self) -> None:
        """Nothing stands in the way any longer."""
        if any(item.type == "Stalled" for item in self._conditions):
            self.condition("Stalled", "False", "Progressing")

    def wait(self, phase: str, reason: str, message: str, again_in: float | None = None) -> Plan[Status]:
        """Something outside must change first; say what."""
        self.phase(phase, message, reason=reason)
        self.condition("Stalled", "True", reason, message)
        return self.plan(again_in)

    def plan(self, again_in: float | None = None) -> Plan[Status]:
        """The plan, with the actions collected."""
        changes = {**self._changes, "conditions": self._conditions}
        return Plan(self._status.model_copy(update=changes), tuple(self.actions), again_in)

    def fail(self, failure: Failure) -> Plan[Status]:
        """The end: nothing heals it. What is still running is released."""
        self.failure(failure)
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
        self.unstall()
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
        return self.plan()
