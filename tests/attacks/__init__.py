"""Programs that attack the grading sandbox: the corpus of `make attacks` and of the integration tests."""

from __future__ import annotations

from tests.attacks import escape, exit_tricks, resources, reward_hacking, time_evasion
from tests.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *resources.ATTACKS,
    *time_evasion.ATTACKS,
    *exit_tricks.ATTACKS,
    *reward_hacking.ATTACKS,
    *escape.ATTACKS,
)
