"""Kubernetes label selectors: whether a set of labels matches. Pure; knows nothing of pods or policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SelectorError(ValueError):
    """A selector that the API server would have refused; retrying cannot help."""


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether `labels` fulfil every requirement of a metav1.LabelSelector; the empty selector matches everything.

    Raises SelectorError for an operator that metav1.LabelSelector does not have.
    """
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case operator:
            raise SelectorError(f"operator {operator!r} on label {key!r}: use In, NotIn, Exists or DoesNotExist")
