"""Label selectors, as tables of cases."""

from __future__ import annotations

from typing import Any

import pytest

from dev.netpolicy.label_selectors import SelectorError, matches

LABELS = {"app": "sandbox", "tier": "low"}
CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "the empty selector": ({}, True),
    "all labels equal": ({"matchLabels": {"app": "sandbox", "tier": "low"}}, True),
    "one label differs": ({"matchLabels": {"app": "sandbox", "tier": "high"}}, False),
    "a label that is not there": ({"matchLabels": {"zone": "a"}}, False),
    "In": ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "sandbox"]}]}, True),
    "In, absent key": ({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}, False),
    "NotIn": ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["sandbox"]}]}, False),
    "NotIn, absent key": ({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}, True),
    "Exists": ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
    "Exists, absent key": ({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}, False),
    "DoesNotExist": ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    "DoesNotExist, absent key": ({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}, True),
    "labels and expressions must both hold": (
        {
            "matchLabels": {"app": "sandbox"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["high"]}],
        },
        False,
    ),
}


@pytest.mark.parametrize(("selector", "expected"), CASES.values(), ids=CASES.keys())
def test_every_requirement_of_a_selector_must_hold(selector: dict[str, Any], expected: bool) -> None:
    """The semantics of metav1.LabelSelector."""
    assert matches(selector, LABELS) is expected


def test_an_unknown_operator_is_refused_with_its_name() -> None:
    """The API never serves one, so guessing would hide a fault."""
    with pytest.raises(SelectorError, match="Gt"):
        matches({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}, LABELS)
