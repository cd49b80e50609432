"""What a profile decides: two functions. As everywhere here, the expected comes first and the actual second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Near = Callable[[Any, Any], bool]
"""Whether two numbers count as equal because the problem allows a tolerance; False for what is no number."""


def exact(expected: Any, actual: Any) -> bool:
    """The `Near` of a problem that allows no tolerance."""
    return False


@dataclass(frozen=True)
class Rules:
    """The rules of one profile: of the text a program prints, and of the value that a call returns."""

    stdout_matches: Callable[[str, str], bool]
    values_equal: Callable[[Any, Any, Near], bool]
