"""How alike two statements are: the Jaccard similarity of their word 5-grams. Pure.

The measure, and 5-grams of words, are those of BigCode's near-deduplication of The Stack (huggingface.co/blog/dedup).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Shingles: TypeAlias = npt.NDArray[np.uint64]
"""The 64-bit hashes of a statement's n-grams, each once, in ascending order; at least one."""

WORDS_PER_SHINGLE = 5
# Letters and digits make words. Of punctuation only what tells one task from another counts: "x < y" is not "x > y";
# quotes, commas, Markdown's * _ # ` and LaTeX's $ \\ { } come and go between copies of one problem.
_WORD = re.compile(r"[^\W_]+|[-+/%<>=≤≥≠]")


def normalized_words(text: str) -> list[str]:
    """The words and operators of a text, without case, white space and other punctuation; Unicode forms are unified."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def shingles(text: str) -> Shingles:
    """The word 5-grams of a text; of one with fewer words, all its words as one. Raises nothing: any text has some."""
    words = normalized_words(text)
    grams = max(1, len(words) - WORDS_PER_SHINGLE + 1)
    hashes = [_hash(" ".join(words[start : start + WORDS_PER_SHINGLE])) for start in range(grams)]
    return np.unique(np.array(hashes, dtype=np.uint64))


def jaccard(left: Shingles, right: Shingles) -> float:
    """Shared n-grams over all n-grams of two statements, exact but for collisions of 64-bit hashes."""
    places = np.minimum(right.searchsorted(left), right.size - 1)
    shared = int(np.count_nonzero(right[places] == left))
    return shared / (left.size + right.size - shared)


def _hash(gram: str) -> int:
    return int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "little")
