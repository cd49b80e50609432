"""What the strikes came to: figures by fault, and the list of what is wrong. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sandbox_load.report import spread
from benchmarks.trainer_kills.accounting import Evidence
from benchmarks.trainer_kills.strikes import Struck

SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """A run with its strikes. `evidence` is None when it did not end as it must, so that there is no account."""

    seconds: float
    attempts: int
    steps_done: int
    struck: Sequence[Struck]
    evidence: Evidence | None
    violations: Sequence[str]


def as_json(outcome: Outcome, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """What is written: how it was, by fault, and all else."""
    return {
        "violations": list(outcome.violations),
        "faults": {fault: _of_fault(outcome.struck, fault) for fault in dict.fromkeys(s.fault for s in outcome.struck)},
        "strikes": len(outcome.struck),
        "seconds": round(outcome.seconds, 1),
        "attempts": outcome.attempts,
        "steps_done": outcome.steps_done,
        "account": _account(outcome.evidence),
        "conditions": dict(conditions),
    }


def _of_fault(struck: Sequence[Struck], fault: str) -> dict[str, Any]:
    mine = [one for one in struck if one.fault == fault]
    return {
        "strikes": len(mine),
        "attempts": sum(one.attempts for one in mine),
        "seconds_to_recover": spread([one.seconds_to_recover for one in mine]),
        "struck": [
            f"step {one.step}: {one.what}; {one.seconds_to_recover:.1f} s, {one.attempts} new attempts" for one in mine
        ],
    }


def _account(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    answers = [row for found in evidence.samples.values() for row in found]
    return {
        "steps": len(evidence.samples),
        "prompts": len({(row.problem, row.epoch) for row in answers}),
        "answers": len(answers),
        "answer_tokens": sum(len(row.answer) for row in answers),
        "verdicts": dict(Counter(row.verdict for row in answers).most_common()),
        "journal_entries_seen": len(evidence.journal),
        "steps_trained_again": len(evidence.done) - len({done.step for done in evidence.done}),
    }


def ending(found: Sequence[str]) -> str:
    """The end of it for people."""
    if not found:
        return "the right number of steps, every prompt trained on once, every checkpoint whole"
    more = f"\n… and {len(found) - SHOWN} more, in the file" if len(found) > SHOWN else ""
    return f"{len(found)} violations\n" + "\n".join(found[:SHOWN]) + more
