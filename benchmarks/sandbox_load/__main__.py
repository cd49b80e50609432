"""`python -m benchmarks.sandbox_load`: the load, its file, and exit code 1 when a grade is not as it must be."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from benchmarks.machine import describe_machine
from benchmarks.sandbox_load.accounting import Account
from benchmarks.sandbox_load.corpus import HOSTILE_SHARE, SEED, Corpus, make_corpus
from benchmarks.sandbox_load.load import Load, run_quiet
from benchmarks.sandbox_load.report import Report, ending, problems, progress_line, spread
from benchmarks.sandbox_load.servers import Servers
from deepcoder_sandbox.local import find_runsc

OUTPUT = Path("build/bench/sandbox-load.json")
console = Console(stderr=True)


def main() -> int:
    """Run it. 0: every grade came once, as in the quiet run; 1: not so, or gVisor is not there."""
    options = _options()
    if not options.native and (os.geteuid() != 0 or find_runsc() is None):
        console.print("no gVisor here: this needs root, and runsc in build/bin or in PATH", style="red")
        return 1
    with tempfile.TemporaryDirectory(prefix="deepcoder-load-") as folder:
        Path(folder).chmod(0o755)  # programs run as a user of their own
        servers = Servers(options.servers, workers=options.workers, folder=Path(folder), native=options.native)
        report = asyncio.run(_run(options, servers, make_corpus(options.rounds)))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report.as_json(_conditions(options)), indent=1) + "\n")
    console.print(ending(report.problems), style="red" if report.problems else "green", markup=False, soft_wrap=True)
    console.print(f"{report.graded:,} grades, {report.kills} kills: {options.output}", soft_wrap=True)
    return 1 if report.problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.sandbox_load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long grades are asked for")
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="programs at once on each server")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--in-flight", type=int, default=64, help="grades that each client waits for at a time")
    parser.add_argument("--kill-every", type=float, default=30.0, help="seconds from one killed server to the next")
    parser.add_argument("--rounds", type=int, default=6, help="honest problems of each kind")
    parser.add_argument("--native", action="store_true", help="without gVisor, to try the benchmark itself")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


async def _run(options: argparse.Namespace, servers: Servers, corpus: Corpus) -> Report:
    """The quiet run, then the load with the faults. Raises LocalSandboxError, and SandboxError from the quiet run."""
    async with servers.running():
        with console.status(f"quiet run: {len(corpus.samples)} programs, one at a time"):
            quiet = await run_quiet(servers.urls, corpus)
        account = Account(quiet.expectations)
        load = Load(servers.urls, corpus, account, clients=options.clients, in_flight=options.in_flight)
        before, begun = servers.memory_mib(), time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(options.seconds))
            tasks.create_task(servers.kill_in_turn(options.kill_every, load.ended))
            tasks.create_task(_show(load, account, servers, begun))
        return Report(
            seconds=round(load.seconds, 1),
            graded=account.graded,
            hostile=account.hostile,
            lost=len(account.lost),
            doubled=len(account.doubled),
            different=len(account.different),
            kills=servers.kills,
            restart_seconds=spread(servers.restart_seconds),
            retries=load.retries(),
            grades_per_second=round(account.graded / load.seconds, 2),
            latency_seconds=spread(account.latencies),
            memory_mib={"before": before, "at_kills": servers.mib_at_kills, "after": servers.memory_mib()},
            verdicts=dict(account.verdicts.most_common()),
            distinct_programs=len(corpus.samples),
            quiet_largest_share_of_limit=round(quiet.largest_share_of_limit, 3),
            problems=problems(account, quiet.surprises),
        )


async def _show(load: Load, account: Account, servers: Servers, begun: float) -> None:
    """A line that is drawn anew every second."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not load.ended.is_set():
            retries = sum(load.retries().values())
            live.update(progress_line(account, time.monotonic() - begun, servers.kills, retries), refresh=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(load.ended.wait(), 1.0)


def _conditions(options: argparse.Namespace) -> dict[str, object]:
    """What was asked for, and of which machine."""
    asked = {name: value for name, value in vars(options).items() if name != "output"}
    return {**asked, "seed": SEED, "hostile_share": HOSTILE_SHARE, "machine": describe_machine()}


if __name__ == "__main__":
    sys.exit(main())
