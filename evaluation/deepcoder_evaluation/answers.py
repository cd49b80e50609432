"""An answer of the measured model, and what it came to at each response limit."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from deepcoder_api.grading import Verdict


@dataclass(frozen=True)
class Answer:
    """What the engine said. `finish_reason` is the engine's: stop or length. Seconds from asking to the last token.

    `ids` are the answer's token ids as unsigned 32-bit integers, with the end token where the model gave one, and
    `prompt_ids` the last of the prompt's; None where the engine does not tell them.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    ids: array[int] | None = None
    prompt_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """What one answer came to at one response limit; without its text, which may be long.

    `sample` counts the answers to the problem within a repeat. `exact` says whether the limit cut at the engine's own
    token ids, or did not need to cut. `subsets` says of parts of the tests whether they passed.
    """

    benchmark: str
    problem: str
    repeat: int
    sample: int
    tokens: int
    exact: bool
    finish_reason: str
    answer_tokens: int
    seconds: float
    verdict: Verdict
    test_verdicts: tuple[str, ...]
    detail: str

    @property
    def accepted(self) -> bool:
        """Whether every test passed."""
        return self.verdict is Verdict.ACCEPTED

    def passes_first(self, tests: int) -> bool:
        """Whether the first `tests` tests passed."""
        first = self.test_verdicts[:tests]
        return len(first) == tests and all(verdict == Verdict.ACCEPTED.value for verdict in first)
