"""Which cores the parts of a run may use: what is started while inside stays on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """One core for the rollout server, one for all else: ranks, orchestrator and grading."""

    generation: int
    training: int

    @classmethod
    def first_two(cls) -> Cores:
        """Of those that this process may use. Raises ValueError when there is one alone."""
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise ValueError(f"two cores are needed, one for generation and one for training; this has {allowed}")
        return cls(allowed[0], allowed[1])


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this thread, and the processes that it starts while inside, on `core`; None keeps nothing."""
    before = os.sched_getaffinity(0)
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        yield
    finally:
        os.sched_setaffinity(0, before)
