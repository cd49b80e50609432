"""What a load came to: figures for the JSON file, the list of what is wrong, and a line while it runs. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.sandbox_load.accounting import Account

SHOWN = 20


@dataclass(frozen=True)
class Report:
    """The figures. Of `lost`, `doubled` and `different` there is a line each in `problems`."""

    seconds: float
    graded: int
    hostile: int
    lost: int
    doubled: int
    different: int
    kills: int
    restart_seconds: dict[str, float]
    retries: dict[str, int]
    grades_per_second: float
    latency_seconds: dict[str, float]
    memory_mib: dict[str, list[float]]
    verdicts: dict[str, int]
    distinct_programs: int
    quiet_largest_share_of_limit: float
    problems: list[str]

    def as_json(self, conditions: dict[str, object]) -> dict[str, object]:
        """The figures, and under which conditions they were found."""
        return {**asdict(self), "conditions": conditions}


def problems(account: Account, surprises: Sequence[str]) -> list[str]:
    """Everything that is not as it must be, a line each."""
    return [
        *(f"unexpected: {line}" for line in surprises),
        *(f"lost: {line}" for line in account.lost),
        *(f"doubled: {line}" for line in account.doubled),
        *(f"different: {line}" for line in account.different),
    ]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile (nearest rank) and largest; nothing for no values."""
    if not values:
        return {}
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[max(0, -int(-rank * len(ordered) // 1) - 1)], 3) for name, rank in ranks.items()}


def progress_line(account: Account, seconds: float, kills: int, retries: int) -> str:
    """How it goes, in a line."""
    wrong = len(account.different) + len(account.doubled)
    pace = account.graded / seconds if seconds else 0.0
    return (
        f"{seconds:4.0f} s  {account.graded:,} graded  {pace:.1f}/s  {account.in_flight} in flight"
        f"  {kills} kills  {retries:,} retries  {wrong} wrong"
    )


def ending(found: Sequence[str]) -> str:
    """The end of it for people."""
    if not found:
        return "every grade came once, as in the quiet run"
    more = f"\n… and {len(found) - SHOWN} more, in the file" if len(found) > SHOWN else ""
    return f"{len(found)} problems\n" + "\n".join(found[:SHOWN]) + more
