"""Whether a server that still runs has stopped working. Pure.

Its count of tokens tells, as long as it has work. One that has none, or whose engine hangs before it could say that it
has some, looks the same from there: it is asked for a token.
"""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

TOKENS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")


def tokens_of(metrics: str) -> float | None:
    """Tokens read and generated so far, from vLLM's /metrics; None when they do not tell (`--disable-log-stats`).

    Raises ValueError for a text that is no exposition of metrics.
    """
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    found = [sample.value for sample in samples if sample.name in TOKENS]
    return sum(found) if found else None


class StallWatch:
    """Looks at a server again and again; all seconds are of one monotonic clock."""

    def __init__(self, stall_seconds: float, now: float) -> None:
        self._stall_seconds = stall_seconds
        self.quiet_seconds = stall_seconds / 5
        self._tokens: float | None = None
        self._moved_at = now

    def moved(self, now: float) -> None:
        """It has answered, or is being worked on, as while it loads weights."""
        self._moved_at = now

    def saw(self, tokens: float | None, now: float) -> None:
        """What it said of its tokens; None where it did not."""
        if tokens is not None and tokens != self._tokens:
            self.moved(now)
            self._tokens = tokens

    def is_quiet(self, now: float) -> bool:
        """Whether it is time to ask it for a token."""
        return now - self._moved_at >= self.quiet_seconds

    def stalled_seconds(self, now: float) -> float | None:
        """For how long nothing has moved, once that is longer than allowed."""
        seconds = now - self._moved_at
        return seconds if seconds > self._stall_seconds else None
