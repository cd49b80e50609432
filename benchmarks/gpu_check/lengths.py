"""How tokens are cut into sequences of unequal lengths."""

from __future__ import annotations


def unequal(tokens: int) -> list[int]:
    """Half of the tokens, a quarter, and so on down to an eighth, one of a single token, and the rest."""
    parts = [tokens // 2, tokens // 4, tokens // 8, 1]
    return [*parts, tokens - sum(parts)]
