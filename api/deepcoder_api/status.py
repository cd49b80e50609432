"""Conditions, as every Kubernetes resource reports them. No I/O: the time is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from deepcoder_api.specification import Specification

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Specification):
    """One aspect of a resource's state, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)] = Field(description="What the condition is about.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(max_length=1024)] = Field(description="One word for machines.")
    message: Annotated[str, Field(max_length=32768)] = Field(default="", description="A sentence for people.")
    observed_generation: int | None = Field(default=None, description="Generation of the spec that this is of.")
    last_transition_time: str = Field(max_length=64, description="When status last changed, RFC 3339.")


def with_condition(
    conditions: Sequence[Condition],
    type: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    generation: int | None,
    now: str,
) -> list[Condition]:
    """The conditions with one set; its transition time moves only when its status changes."""
    previous = next((item for item in conditions if item.type == type), None)
    changed_at = previous.last_transition_time if previous and previous.status == status else now
    condition = Condition(
        type=type,
        status=status,
        reason=reason,
        message=message[:32768],
        observed_generation=generation,
        last_transition_time=changed_at,
    )
    others = [item for item in conditions if item.type != type]
    return sorted([*others, condition], key=lambda item: item.type)


def is_true(conditions: Sequence[Condition], type: str) -> bool:
    """Whether the condition is there and True."""
    return any(item.type == type and item.status == "True" for item in conditions)
