"""The ways of grading that are measured, each behind the same two words: its name, and `grade` a cell some times."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from benchmarks.sandbox.containers import Containers, containers
from benchmarks.sandbox.ours import Graded, Ours
from benchmarks.sandbox.workload import Cell, Outcome, Submission

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 20.0
CONTAINER_SECONDS = 300.0
Workload = Mapping[Cell, Sequence[Submission]]


class Way(Protocol):
    """One way of grading."""

    @property
    def name(self) -> str:
        """As it stands in reports."""
        ...

    def grade(self, cell: Cell, times: int) -> Graded:
        """Grade all of a cell's programs, `times` over, as fast as this way can on all cores."""
        ...


class OursWay:
    """Our server, with more in flight than it has workers."""

    def __init__(self, server: Ours, workload: Workload) -> None:
        self.name = server.name
        self._server = server
        self._workload = workload

    def grade(self, cell: Cell, times: int) -> Graded:
        """As in Way."""
        return self._server.grade([*self._workload[cell]] * times)


class HostWay:
    """A process that grades on request, a line of JSON each way."""

    def __init__(self, name: str, command: Sequence[str], workload: Workload, **more: Any) -> None:
        self.name = name
        self._more = more
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
        self._ask({"load": {cell.name: [one.job() for one in programs] for cell, programs in workload.items()}})

    def grade(self, cell: Cell, times: int) -> Graded:
        """As in Way. The clock is the process's own: what is asked and answered here does not count."""
        answer = self._ask({"grade": cell.name, "times": times, **self._more})
        return Graded(answer["seconds"], [Outcome(*one) for one in answer["outcomes"]])

    def variant(self, name: str, **more: Any) -> Way:
        """The same process, asked for something else."""
        other = object.__new__(HostWay)
        other.name, other._more, other._process = name, more, self._process
        return other

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait(STOP_SECONDS)}")
        return json.loads(line)


class ContainerWay:
    """A container per program, `cores` at a time."""

    name = "container_per_program"

    def __init__(self, made: Containers, workload: Workload, cores: int) -> None:
        self._made = made
        self._jobs = {cell: [json.dumps(one.job()) for one in programs] for cell, programs in workload.items()}
        self._cores = cores
        self._count = 0

    def grade(self, cell: Cell, times: int) -> Graded:
        """As in Way. What counts is each container's whole life."""
        jobs = self._jobs[cell] * times
        names = [f"program-{self._count + place}" for place in range(len(jobs))]
        self._count += len(jobs)
        begun = time.perf_counter()
        with ThreadPoolExecutor(self._cores) as pool:
            answers = list(pool.map(lambda name, job: self._made.run(name, job, CONTAINER_SECONDS), names, jobs))
        seconds = time.perf_counter() - begun
        return Graded(seconds, [Outcome(*json.loads(answer)) for answer in answers])


@contextlib.contextmanager
def other_ways(runsc: Path, workload: Workload, cores: int) -> Iterator[list[Way]]:
    """The three ways that are not ours, the first of them as published and at its leanest."""
    # Its compiled modules must be there: a fresh process could not keep those it makes.
    subprocess.run([sys.executable, "-c", "import numpy"], check=True, timeout=120)
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "benchmarks.sandbox.lcb_way", str(cores)]
        lcb = HostWay("lcb", command, workload, lean=False)
        stack.callback(lcb.close)
        made = stack.enter_context(containers(runsc, "fresh_process.py", [str(cores)]))
        stack.callback(made.delete, "fresh")
        fresh = HostWay("fresh_process", made.run_command("fresh"), workload)
        stack.callback(fresh.close)
        single = stack.enter_context(containers(runsc, "in_process.py"))
        yield [lcb, lcb.variant("lcb_lean", lean=True), fresh, ContainerWay(single, workload, cores)]
