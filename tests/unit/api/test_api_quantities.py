"""Kubernetes' quantities."""

from __future__ import annotations

import pytest

from deepcoder_api.quantities import quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8", 8),
        ("250m", 0.25),
        ("1.5", 1.5),
        (".5", 0.5),
        ("16Gi", 17_179_869_184),
        ("2G", 2e9),
        ("1e3", 1000),
        ("4k", 4000),
    ],
)
def test_quantity_is_the_number_that_it_stands_for(text: str, number: float) -> None:
    """Decimal and binary suffixes, and exponents."""
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "8 Gi", "Gi", "1.2.3", "8GiB", "0x10"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """With what it was."""
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)
