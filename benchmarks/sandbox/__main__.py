"""`python -m benchmarks.sandbox`: measure, write the JSON report, show its first level."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.machine import cores, describe_machine
from benchmarks.sandbox import measure, report
from benchmarks.sandbox.ours import Ours
from benchmarks.sandbox.ways import ROOT, OursWay, other_ways
from benchmarks.sandbox.workload import make_workload
from deepcoder_sandbox.local import find_runsc

IN_FLIGHT_PER_CORE = 4


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.sandbox", description=__doc__)
    parser.add_argument("--programs", type=int, default=16, help="per cell with one test; half with 10, a quarter 100")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each way on each cell, rounds together")
    parser.add_argument("--soak", type=int, default=10_000, help="programs in a row while memory is watched")
    parser.add_argument("--skip-soak", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the workload")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench" / "sandbox.json")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(stderr=True)
    begun = time.monotonic()
    figures = run(options, console)
    command = f"python -m benchmarks.sandbox {shlex.join(sys.argv[1:])}".strip()
    figures |= {"command": command, "seconds": round(time.monotonic() - begun, 1)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(table(figures))
    console.print(f"{options.output} after {figures['seconds']:g} s")


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All measurements, one after the other. Raises DifferentVerdictError."""
    runsc = find_runsc()
    if runsc is None:
        sys.exit("gVisor is needed: python3 dev/toolchain.py builds it")
    machine = describe_machine(runsc)
    count, many = cores(), IN_FLIGHT_PER_CORE * cores()
    measured = report.Measured(count)
    with console.status("making the programs and their tests") as status:
        say: measure.Say = status.update if console.is_terminal else console.print
        workload = make_workload(options.programs, options.seed)
        say("each program's own time")
        measure.measure_own_seconds(workload, measured)
        say("starting the servers and their peers")
        with (
            other_ways(runsc, workload, count) as others,
            Ours(native=False, runsc=runsc, workers=count, in_flight=many) as gvisor,
            Ours(native=True, workers=count, in_flight=many) as native,
        ):
            for server in (gvisor, native):
                measure.warm_up(server, workload)
            ways = [OursWay(gvisor, workload), OursWay(native, workload), *others]
            measure.Throughput(ways, workload, options.seconds, measured, say).run()
            measured.memory_mib = {server.name: server.memory_mib() for server in (gvisor, native)}
            measure.measure_mix(gvisor, workload, measured, say)
            if not options.skip_soak:
                measure.soak(gvisor, workload, options.soak, measured, say)
    return {**report.summary(measured), "machine": machine, "workload": report.workload_figures(workload)}


def table(figures: dict[str, Any]) -> Table:
    """The first level of the report."""
    drawn = Table(title="grading")
    drawn.add_column("figure")
    drawn.add_column("value", justify="right")
    for name, value in report.rows(figures):
        drawn.add_row(name, value)
    return drawn


if __name__ == "__main__":
    main()
