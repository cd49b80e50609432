"""The run itself: every way on every cell in rounds, so that a machine that drifts does so for all of them alike."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.sandbox.ours import Graded, Ours
from benchmarks.sandbox.report import FRESH, LCB_LEAN, Measured, Sample
from benchmarks.sandbox.ways import ROOT, Way, Workload
from benchmarks.sandbox.workload import Cell, Outcome, Submission

ROUNDS = 3
MOST_TIMES = 200
IN_FLIGHT = (1, 8, 64)
LATENCY_TIMES = 3
MIX_TIMES = 3
SOAK_CHUNKS = 20
OWN_SECONDS = 600.0
Say = Callable[[str], None]


class DifferentVerdictError(Exception):
    """A way of grading came to another outcome than the workload states: what it measures is not the same work."""


def check(way: str, submissions: Sequence[Submission], outcomes: Sequence[Outcome]) -> None:
    """Raises DifferentVerdictError."""
    for submission, outcome in zip(submissions, outcomes, strict=True):
        if outcome != submission.outcome:
            raise DifferentVerdictError(f"{way} on {submission.id}: {outcome}, expected {submission.outcome}")


@dataclass
class Throughput:
    """Each way on each cell: a trial that checks all verdicts, then rounds of about `seconds` together."""

    ways: Sequence[Way]
    workload: Workload
    seconds: float
    measured: Measured
    say: Say

    def run(self) -> None:
        """Measure. Raises DifferentVerdictError."""
        pairs = [(cell, way) for cell in self.workload for way in self.ways if takes(way.name, cell)]
        trials: dict[tuple[str, Cell], float] = {}
        for place, (cell, way) in enumerate(pairs, start=1):
            self.say(f"trial {place} of {len(pairs)}: {cell.name}, {way.name}")
            graded = self._grade(way, cell, 1)
            trials[way.name, cell] = graded.seconds
            if graded.seconds >= self.seconds / ROUNDS:  # a slow way: too dear to be thrown away
                self._keep(way, cell, graded)
        for turn in range(ROUNDS):
            # Back and forth: no way always comes after the same one.
            for place, (cell, way) in enumerate(pairs if turn % 2 == 0 else reversed(pairs), start=1):
                kept = self.measured.samples.get(way.name, {}).get(cell, [])
                if sum(sample.seconds for sample in kept) >= self.seconds:
                    continue
                self.say(f"round {turn + 1} of {ROUNDS}, {place} of {len(pairs)}: {cell.name}, {way.name}")
                times = max(1, min(MOST_TIMES, round(self.seconds / ROUNDS / trials[way.name, cell])))
                self._keep(way, cell, self._grade(way, cell, times))

    def _grade(self, way: Way, cell: Cell, times: int) -> Graded:
        graded = way.grade(cell, times)
        check(way.name, [*self.workload[cell]] * times, graded.outcomes)
        return graded

    def _keep(self, way: Way, cell: Cell, graded: Graded) -> None:
        sample = Sample(len(graded.outcomes), graded.seconds)
        self.measured.samples.setdefault(way.name, {}).setdefault(cell, []).append(sample)


def takes(way: str, cell: Cell) -> bool:
    """Whether a way is measured on a cell.

    A fresh process for each of 100 tests that import numpy would take minutes and say what 10 tests say. Without
    standard input, LiveCodeBench's way at its leanest is its way as published.
    """
    return not (way == FRESH and cell.numpy and cell.tests == 100) and not (way == LCB_LEAN and cell.kind == "call")


def warm_up(server: Ours, workload: Workload) -> None:
    """Have every worker's process with numpy started: that happens once in a server's life."""
    server.grade([one for one in mix(workload) if one.cell.tests == 1] * 2)


def measure_own_seconds(workload: Workload, measured: Measured) -> None:
    """Each program's own time: all its tests in one native process that does nothing else."""
    submissions = mix(workload)
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "sandbox" / "in_process.py"), "--own"],
        input=json.dumps([submission.job() for submission in submissions]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=OWN_SECONDS,
    )
    seconds = json.loads(done.stdout)
    measured.own_seconds |= {one.id: own for one, own in zip(submissions, seconds, strict=True)}


def measure_mix(server: Ours, workload: Workload, measured: Measured, say: Say) -> None:
    """Throughput on all programs together; latencies at several numbers in flight; bytes; memory."""
    submissions = mix(workload)
    transport = server.transport
    transport.sent = transport.received = 0
    for turn in range(MIX_TIMES):
        say(f"all programs together, {turn + 1} of {MIX_TIMES}")
        graded = server.grade(submissions)
        check(server.name, submissions, graded.outcomes)
        measured.mix.append(Sample(len(submissions), graded.seconds))
    count = MIX_TIMES * len(submissions)
    measured.wire_bytes |= {
        "request_per_program": transport.sent / count,
        "answer_per_program": transport.received / count,
        "suite_per_problem_once": sum(len(one.suite.model_dump_json()) for one in submissions) / len(submissions),
    }
    for in_flight in sorted({*IN_FLIGHT, measured.cores}):
        say(f"latency with {in_flight} in flight")
        graded = server.grade(submissions * LATENCY_TIMES, in_flight)
        check(server.name, submissions * LATENCY_TIMES, graded.outcomes)
        ids = [one.id for one in submissions] * LATENCY_TIMES
        measured.latencies[in_flight] = list(zip(ids, graded.latencies, strict=True))


def soak(server: Ours, workload: Workload, programs: int, measured: Measured, say: Say) -> None:
    """Grade `programs` with 1 and 10 tests in a row and read the server's memory all along."""
    submissions = [one for one in mix(workload) if one.cell.tests <= 10]
    size = max(1, programs // SOAK_CHUNKS)
    done, seconds = 0, 0.0
    measured.soak_mib.append(server.memory_mib())
    while done < programs:
        count = min(size, programs - done)
        say(f"soak: {done} of {programs} programs, {measured.soak_mib[-1]:.0f} MiB")
        chosen = [submissions[(done + place) % len(submissions)] for place in range(count)]
        graded = server.grade(chosen)
        check(server.name, chosen, graded.outcomes)
        done, seconds = done + count, seconds + graded.seconds
        measured.soak_mib.append(server.memory_mib())
    measured.soak = Sample(done, seconds)


def mix(workload: Workload) -> list[Submission]:
    """All programs once, in an order that the same workload always has."""
    submissions = [one for programs in workload.values() for one in programs]
    random.Random(0).shuffle(submissions)
    return submissions
