"""`python -m benchmarks.sandbox.profile`: what one program costs our server, and where gVisor spends it.

One worker, one program at a time, so that a millisecond of wall clock is a millisecond somewhere in the server. The
client's own work (hashing the suite, JSON, HTTP) is part of the wall clock and not of the CPU time.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.sandbox.in_process import own_seconds
from benchmarks.sandbox.measure import check
from benchmarks.sandbox.ours import Ours
from benchmarks.sandbox.workload import Cell, Submission, make_submission
from deepcoder_sandbox.local import find_runsc

KINDS = (
    *(Cell(kind, tests, False) for tests in (1, 10, 100) for kind in ("stdin", "call")),
    Cell("stdin", 1, True),
)
WARM_UP = 5
PROFILED_SECONDS = 10.0


@dataclass(frozen=True)
class Cost:
    """Of one program, in milliseconds: CPU of the server's whole process tree, and wall clock as the client sees it."""

    cpu_ms: float
    wall_ms: float


def cost(server: Ours, submission: Submission, times: int) -> Cost:
    """Grade the same program `times` in a row, after a warm-up. Raises DifferentVerdictError."""
    server.grade([submission] * WARM_UP)
    cpu, begun = server.cpu_seconds(), time.perf_counter()
    graded = server.grade([submission] * times)
    wall = time.perf_counter() - begun
    check(server.name, [submission] * times, graded.outcomes)
    return Cost(1000 * (server.cpu_seconds() - cpu) / times, 1000 * wall / times)


def profiled_runsc(runsc: Path, folder: Path) -> Path:
    """A command that is `runsc` but lets itself be profiled: gVisor then allows itself the system calls for it."""
    script = folder / "runsc"
    script.write_text(f'#!/bin/sh\nexec {runsc} --profile "$@"\n')
    script.chmod(0o755)
    return script


def profile_gvisor(runsc: Path, server: Ours, submissions: list[Submission], file: Path) -> None:
    """Grade for a while, and write gVisor's own CPU profile (pprof) of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    duration = f"--duration={PROFILED_SECONDS:g}s"
    command = [str(runsc), f"--root={server.folder}/state", "debug", f"--profile-cpu={file}", duration]
    process = subprocess.Popen([*command, server.folder.name], stderr=subprocess.DEVNULL)
    while process.poll() is None:
        server.grade(submissions)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.sandbox.profile", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="how often each program is graded")
    parser.add_argument("--index", type=int, default=0, help="which program of each cell")
    parser.add_argument("--only", choices=[cell.name for cell in KINDS], help="one kind of program in place of all")
    parser.add_argument("--gvisor-profile", type=Path, help="also write gVisor's CPU profile (pprof) to this file")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    cells = [cell for cell in KINDS if options.only in (None, cell.name)]
    submissions = [make_submission(cell, options.index) for cell in cells]
    console = Console()
    console.print(describe_machine(find_runsc()))
    console.print(table(submissions, options.times, options.gvisor_profile))
    if options.gvisor_profile:
        console.print(f"look at it with: go tool pprof -top {find_runsc()} {options.gvisor_profile}", soft_wrap=True)


def table(submissions: list[Submission], times: int, profile: Path | None) -> Table:
    """Measure natively and under gVisor, and draw it."""
    drawn = Table(title=f"ms per program, {times} each, one worker")
    for name in ("program", "own", "native CPU", "wall", "gVisor CPU", "wall"):
        drawn.add_column(name, justify="left" if name == "program" else "right", no_wrap=True)
    with Ours(native=True, workers=1, in_flight=1) as server:
        natively = [cost(server, submission, times) for submission in submissions]
    isolated = isolated_costs(submissions, times, profile)
    for submission, native, gvisor in zip(submissions, natively, isolated, strict=True):
        figures = (1000 * own_seconds(submission.job()), native.cpu_ms, native.wall_ms, gvisor.cpu_ms, gvisor.wall_ms)
        drawn.add_row(submission.cell.name, *(f"{value:.1f}" for value in figures))
    return drawn


def isolated_costs(submissions: list[Submission], times: int, profile: Path | None) -> list[Cost]:
    """The same under gVisor, profiled where a file for it is given."""
    runsc = find_runsc()
    if runsc is None:
        sys.exit("gVisor is needed: python3 dev/toolchain.py builds it")
    with tempfile.TemporaryDirectory() as folder:
        command = profiled_runsc(runsc, Path(folder)) if profile else runsc
        with Ours(native=False, workers=1, in_flight=1, runsc=command) as server:
            costs = [cost(server, submission, times) for submission in submissions]
            if profile:
                profile_gvisor(runsc, server, submissions, profile)
            return costs


if __name__ == "__main__":
    main()
