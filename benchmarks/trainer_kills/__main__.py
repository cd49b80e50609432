"""`python -m benchmarks.trainer_kills`: a run under faults, its file, and exit code 1 when the account is not right."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console

from benchmarks.machine import ROOT, describe_machine
from benchmarks.trainer.place import made
from benchmarks.trainer.runs import QUICKSTART
from benchmarks.trainer_kills.accounting import Expected, violations
from benchmarks.trainer_kills.evidence import gather
from benchmarks.trainer_kills.faults import FAULTS, Scene
from benchmarks.trainer_kills.journal_watch import JournalWatch
from benchmarks.trainer_kills.local_run import LocalRun
from benchmarks.trainer_kills.manifest import (
    BUCKET,
    EVERY_STEPS,
    KEEP_LAST,
    NAME,
    PROBLEMS,
    PROMPTS,
    SAMPLES,
    STORAGE,
    Shape,
    training_run,
)
from benchmarks.trainer_kills.proxy import FaultyWay
from benchmarks.trainer_kills.report import Outcome, as_json, ending
from benchmarks.trainer_kills.scarce_disk import ScarceDisk
from benchmarks.trainer_kills.schedule import schedule, steps_for
from benchmarks.trainer_kills.strikes import Strikes
from deepcoder_cli.local.session import run_paths
from deepcoder_data.store import StoreError
from deepcoder_sandbox.local import find_runsc
from tests.s3_server import S3Server, running_s3_server

KEPT = Path("build/bench/trainer-kills")
OUTPUT = Path("build/bench/trainer-kills.json")
DISK_MIB = 256
END_SECONDS = 900.0
EXIT_INTERRUPTED = 130
WARM_STEPS = 60  # of the base model: enough for answers that hold a program
console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def main() -> int:
    """Run it. 0: all strikes fell, and the account is right; 1: not so; 2: it cannot be run here."""
    options = _options()
    if os.geteuid() != 0:
        console.print("this needs root: a file system of its own is mounted, filled and freed", style="red")
        return 2
    if find_runsc() is None:
        console.print("no gVisor (python3 dev/toolchain.py builds it): programs are graded natively", style="yellow")
    try:
        outcome = asyncio.run(_run(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted: all that was started has ended", style="red")
        return EXIT_INTERRUPTED
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(as_json(outcome, _conditions(options)), indent=1) + "\n")
    console.print(ending(outcome.violations), style="red" if outcome.violations else "green")
    console.print(
        f"{len(outcome.struck)} strikes, {outcome.attempts} attempts, {outcome.seconds:.0f} s: {options.output}"
    )
    return 1 if outcome.violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.trainer_kills", description=__doc__)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--rounds", type=int, default=5, help="how often each fault strikes")
    parser.add_argument("--faults", nargs="+", choices=names, default=names, metavar="FAULT", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=0, help="of the order and the moments of the strikes")
    parser.add_argument("--steps-per-strike", type=int, default=8, help="steps of the run for each strike")
    parser.add_argument("--max-staleness", type=int, default=1, help="0: a synchronous run")
    parser.add_argument("--trainers", type=int, default=2, help="trainer pods, of one rank each")
    parser.add_argument("--rollouts", type=int, default=1, help="rollout servers")
    parser.add_argument("--away-seconds", type=float, default=60.0, help="how long S3 is away")
    parser.add_argument("--slow-seconds", type=float, default=20.0, help="how long S3 is slow")
    parser.add_argument("--full-seconds", type=float, default=15.0, help="how long the disk is full")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> Outcome:
    """The base model, the servers, then the run under the strikes; all is gone when this returns but the logs."""
    own = asyncio.current_task()
    assert own is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    command = [sys.executable, str(QUICKSTART / "make_base_model.py"), "--steps", str(WARM_STEPS), "--to"]
    base = made((ROOT / KEPT / f"base-{WARM_STEPS}").absolute(), command, _say)
    with tempfile.TemporaryDirectory(prefix="deepcoder-kills-") as temporary, running_s3_server() as s3:
        s3.make_bucket(BUCKET)
        way, disk = FaultyWay(s3.endpoint), ScarceDisk(Path(temporary) / "state", mib=DISK_MIB)
        async with way.serving():
            with disk.mounted():
                try:
                    return await _strike(options, s3, way, disk, base)
                finally:
                    _keep_logs(disk.folder)


async def _strike(options: argparse.Namespace, s3: S3Server, way: FaultyWay, disk: ScarceDisk, base: Path) -> Outcome:
    planned = schedule(options.faults, options.rounds, options.seed, options.steps_per_strike)
    steps = steps_for(len(planned), options.steps_per_strike)
    shape = Shape(steps, options.max_staleness, options.trainers, options.rollouts)
    manifest, problems = disk.folder / "run.yaml", disk.folder / "training.jsonl"
    problems.write_text("".join((base / "training.jsonl").read_text().splitlines(keepends=True)[:PROBLEMS]))
    manifest.write_text(yaml.safe_dump(training_run(shape, base, problems)))
    command = [str(Path(sys.executable).parent / "deepcoder"), "run", str(manifest)]
    command += ["--endpoint", way.endpoint, "--state", str(disk.folder)]
    run, store, begun = LocalRun(NAME), s3.store(), time.monotonic()
    watch = JournalWatch(store, STORAGE)
    _say(f"{len(planned)} strikes over {steps} steps; what the run says: {disk.folder}/runs/{NAME}/logs")
    async with run.running(command, {**os.environ, **s3.environment, "COLUMNS": "200"}):
        scene = Scene(run.pid, way, disk, options.away_seconds, options.slow_seconds, options.full_seconds)
        faults = {fault.name: fault for fault in FAULTS}
        strikes = Strikes(run, scene, faults, _say, max_staleness=options.max_staleness)
        async with _watching(watch):
            await strikes.carry_out(planned)
            if not strikes.violations:
                with contextlib.suppress(TimeoutError):
                    await run.end(END_SECONDS)
    found, evidence = list(strikes.violations), None
    if run.code != 0:
        found += [f"the run ended with exit code {run.code} at step {run.told.step} of {steps}", *run.lines]
    else:
        expected = Expected(steps, PROMPTS, SAMPLES, EVERY_STEPS, KEEP_LAST)
        paths = run_paths(disk.folder, STORAGE, NAME)
        watch.look()
        try:
            with tempfile.TemporaryDirectory(prefix="deepcoder-kills-checkpoints-") as scratch:
                evidence = gather(
                    store, paths, watch, state=disk.folder, attempts=run.told.attempt, last=steps, scratch=Path(scratch)
                )
            found += violations(evidence, expected)
        except StoreError as error:
            found.append(f"what must be in the store is not there: {error}")
    return Outcome(time.monotonic() - begun, run.told.attempt, run.told.step, strikes.done, evidence, found)


@contextlib.asynccontextmanager
async def _watching(watch: JournalWatch):
    task = asyncio.create_task(watch.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _keep_logs(state: Path) -> None:
    """The state folder goes with its file system; what the parts said is worth keeping."""
    kept = ROOT / KEPT / "logs"
    shutil.rmtree(kept, ignore_errors=True)
    for logs in state.glob("runs/*/logs"):
        shutil.copytree(logs, kept / logs.parent.name)


def _conditions(options: argparse.Namespace) -> dict[str, object]:
    """What was asked for, and of which machine."""
    asked = {name: value for name, value in vars(options).items() if name != "output"}
    return {**asked, "machine": describe_machine(find_runsc())}


def _say(text: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} {text}")


if __name__ == "__main__":
    sys.exit(main())
