"""`make attacks`: every program of tests/attacks against a grading pod in gVisor; ends with build/attacks.json.

An attack is contained when no test of it is accepted, its grade came in bounded time and is not the grader's own
failure, the next honest programs are accepted, and the pod holds what it held before: the same processes and files,
no more descriptors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the corpus is the tests'

from deployment import DeploymentError, connected  # noqa: E402
from machine import MissingError, entry_point  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402
from rich.table import Table  # noqa: E402
from sandbox_pod import Look, SandboxPod, sandbox_pod  # noqa: E402

from deepcoder_sandbox.client import GradeUnavailableError, SandboxClient  # noqa: E402
from tests.attacks import ATTACKS  # noqa: E402
from tests.attacks.attack import HONEST_PROGRAM, LIMITS, SUITES, Attack, Kind, breach  # noqa: E402

NAMESPACE = "deepcoder-attacks"
RESULT = ROOT / "build" / "attacks.json"
DEADLINE_SLACK_SECONDS = 20.0
HONEST_SECONDS = 60.0
HONEST_RUNS = 2  # the slots of a pod take turns
WARMING: tuple[tuple[Kind, str], ...] = (
    ("stdin", HONEST_PROGRAM),
    ("stdin", f"import numpy\n{HONEST_PROGRAM}"),
    ("assertion", "def f(n): return n * 77"),
    ("assertion", "import numpy\ndef f(n): return n * 77"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one attack. `why` is empty when it is contained."""

    name: str
    attack_class: str
    verdict: str
    seconds: float
    why: str

    @property
    def contained(self) -> bool:
        """Whether it got nothing and left nothing."""
        return not self.why


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev/attacks.py", description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose class or name has this text in it")
    chosen = parser.parse_args().only
    attacks = [attack for attack in ATTACKS if chosen in attack.name or chosen in attack.attack_class]
    try:
        with sandbox_pod(connected(), NAMESPACE) as pod:
            outcomes = asyncio.run(attack_all(pod, attacks))
    except DeploymentError as error:
        raise MissingError(str(error)) from error
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(summary(outcomes), indent=1) + "\n")
    show(outcomes)
    if not all(outcome.contained for outcome in outcomes):
        sys.exit(1)


async def attack_all(pod: SandboxPod, attacks: Sequence[Attack]) -> list[Outcome]:
    """Each in turn, with a bar for each class; the last one is that by which the pod is lost, if it is."""
    columns = (TextColumn("    {task.description:<16}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes: list[Outcome] = []
    async with SandboxClient(pod.url, max_in_flight=1) as client:
        await warm(client)
        before = pod.look()
        with Progress(*columns, TextColumn("{task.fields[now]}")) as progress:
            for name in dict.fromkeys(attack.attack_class for attack in attacks):
                group = [attack for attack in attacks if attack.attack_class == name]
                bar = progress.add_task(name, total=len(group), now="")
                for attack in group:
                    progress.update(bar, now=attack.name)
                    try:
                        outcome, before = await attack_once(client, pod, attack, before)
                    except DeploymentError as error:
                        return [*outcomes, Outcome(attack.name, attack.attack_class, "none", 0.0, str(error))]
                    outcomes.append(outcome)
                    if not outcome.contained:
                        progress.console.print(f"    NOT CONTAINED {outcome.name}: {outcome.why}")
                    progress.advance(bar)
                progress.update(bar, now="")
    return outcomes


async def attack_once(client: SandboxClient, pod: SandboxPod, attack: Attack, before: Look) -> tuple[Outcome, Look]:
    """Grade it, then an honest program, then look; and what the next attack is measured by."""
    begun, verdict = time.monotonic(), "none"
    try:
        result = await client.grade(
            attack.suite,
            attack.program,
            id=attack.name,
            limits=attack.limits,
            deadline_seconds=attack.bound_seconds + DEADLINE_SLACK_SECONDS,
            stop_on_first_failure=not attack.all_tests,
        )
        verdict, why = result.verdict.value, breach(attack, result, time.monotonic() - begun)
    except GradeUnavailableError as error:
        why = str(error)
    seconds = time.monotonic() - begun
    for _ in range(HONEST_RUNS):
        why = why or await honest(client)
    left = pod.left_since(before)
    if left:
        before = pod.look()  # the next one is not blamed for it
    return Outcome(attack.name, attack.attack_class, verdict, round(seconds, 2), why or left), before


async def warm(client: SandboxClient) -> None:
    """Have each slot start all that it starts by need: the zygote with numpy, and the one that judges are forked from.

    Else the first attack of its kind would be blamed for them.
    """
    for kind, program in WARMING:
        for _ in range(HONEST_RUNS):
            if why := await honest(client, kind, program):
                raise DeploymentError(f"before any attack: {why}")


async def honest(client: SandboxClient, kind: Kind = "stdin", program: str = HONEST_PROGRAM) -> str:
    """Why an honest program is not accepted now; empty when it is."""
    suite = SUITES[kind]
    try:
        result = await client.grade(suite, program, id="honest", limits=LIMITS, deadline_seconds=HONEST_SECONDS)
    except GradeUnavailableError as error:
        return f"an honest program afterwards: {error}"
    return "" if result.accepted else f"an honest program afterwards: {result.verdict.value}, {result.detail}"


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The content of build/attacks.json."""
    classes = dict.fromkeys(outcome.attack_class for outcome in outcomes)
    return {
        **_counts(outcomes),
        "by_class": {name: _counts([one for one in outcomes if one.attack_class == name]) for name in classes},
        "programs": [
            {"name": one.name, "class": one.attack_class, "verdict": one.verdict, "seconds": one.seconds,
             "contained": one.contained, "why": one.why}
            for one in outcomes
        ],
    }  # fmt: skip


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return {"total": len(outcomes), "contained": sum(one.contained for one in outcomes)}


def show(outcomes: Sequence[Outcome]) -> None:
    """A table of the classes, and each attack that was not contained."""
    table = Table("class", "attacks", "contained", "slowest")
    counted = summary(outcomes)
    for name, counts in counted["by_class"].items():
        slowest = max(one.seconds for one in outcomes if one.attack_class == name)
        table.add_row(name, str(counts["total"]), str(counts["contained"]), f"{slowest:.1f} s")
    table.add_row("all", str(counted["total"]), str(counted["contained"]), "")
    Console().print(table)
    for one in outcomes:
        if not one.contained:
            print(f"    NOT CONTAINED {one.name}: {one.verdict}; {one.why}")
    print(f"    {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    entry_point(main)
