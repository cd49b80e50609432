"""`python -m benchmarks.trainer`: measure each part, write the JSON report after each, show its first level."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.machine import ROOT, describe_machine
from benchmarks.trainer import other_parts, overlap, time_to_score, useful_groups, waiting
from benchmarks.trainer.place import Place, prepared_place
from benchmarks.trainer.report import report, rows
from benchmarks.trainer.sittings import OtherSittingError, Sittings
from deepcoder_cli.local.supervision import ProcessFailedError
from deepcoder_sandbox.client_errors import SandboxError
from deepcoder_sandbox.local import LocalSandboxError, find_runsc
from deepcoder_trainer.orchestrator.failures import OrchestratorError
from tests.s3_server import S3ServerError

FOLDER = ROOT / "build" / "bench"
PARTS = "abcdefgh"
EXIT_INTERRUPTED = 130
FAILURES = (
    ProcessFailedError, LocalSandboxError, SandboxError, OrchestratorError, S3ServerError, TimeoutError, OSError,
    ValueError, RuntimeError, subprocess.SubprocessError, ExceptionGroup,
)  # fmt: skip


def main() -> None:
    """The command line. Exit code 1 when a part failed; the others are reported all the same."""
    chosen = options()
    signal.signal(signal.SIGTERM, _interrupt)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console, begun = Console(stderr=True, highlight=False, soft_wrap=True), time.monotonic()
    machine = describe_machine(find_runsc())
    command = f"python -m benchmarks.trainer {shlex.join(sys.argv[1:])}".strip()
    sittings = Sittings.begin(machine, chosen.seeds, chosen.steps)
    if chosen.go_on:
        try:
            sittings.take_up(chosen.output)
        except OtherSittingError as error:
            sys.exit(f"--go-on: {error}")
    wanted = [part for part in chosen.only if part not in sittings.measured]
    failed: dict[str, str] = {}

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - begun:7.0f} s  {text}")

    folder = FOLDER / "trainer" / f"run-{os.getpid()}"
    figures = report(sittings.measured, failed)
    with prepared_place(FOLDER / "trainer", folder, say) as place:
        for part in wanted:
            say(f"part {part}")
            started, load_before = time.monotonic(), os.getloadavg()[0]
            try:
                sittings.add(part, _measure(part, place, chosen), load_before, time.monotonic() - started)
            except FAILURES as error:
                failed[part] = f"{type(error).__name__}: {error}"
                say(f"part {part} failed: {failed[part]}")
            figures = report(sittings.measured, failed) | {
                "sittings": sittings.told, "machine": machine, "command": command,
                "seconds": round(time.monotonic() - begun, 1),
            }  # fmt: skip
            chosen.output.parent.mkdir(parents=True, exist_ok=True)
            chosen.output.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(table(figures))
    console.print(f"{chosen.output} after {time.monotonic() - begun:.0f} s")
    if failed:
        console.print(f"failed: {', '.join(failed)} (logs: {folder})")
        sys.exit(1)
    if not chosen.keep:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(part: str, place: Place, chosen: argparse.Namespace) -> dict[str, Any]:
    seeds, steps = range(chosen.seeds), chosen.steps
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "a": lambda: time_to_score.measure(place, chosen.seeds, steps, chosen.threshold),
        "b": lambda: overlap.measure(place, seeds, steps),
        "d": lambda: waiting.measure_idle(place, seeds, steps),
        "f": lambda: waiting.measure_checkpoints(place, seeds, steps),
        "g": lambda: useful_groups.measure(place, seeds, steps),
        "h": lambda: useful_groups.measure_hopeless(place, seeds, steps),
    }
    return ways[part]() if part in ways else other_parts.measure(part, place.folder, trial=steps is not None)


def table(figures: dict[str, Any]) -> Table:
    """The first level of the report."""
    drawn = Table(title="training")
    drawn.add_column("figure")
    drawn.add_column("seen", justify="right")
    drawn.add_column("aim")
    for row in rows(figures):
        drawn.add_row(*row)
    return drawn


def options() -> argparse.Namespace:
    """What was asked for; ends with a sentence when it cannot be done."""
    parser = argparse.ArgumentParser(prog="benchmarks.trainer", description=__doc__)
    parser.add_argument("--only", default=PARTS, help=f"which parts, such as bd; all are {PARTS}")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds; ratios are medians over them")
    parser.add_argument("--steps", type=int, help="of each training, for a trial (parts c and e: a short form)")
    parser.add_argument("--threshold", type=float, default=time_to_score.THRESHOLD, help="part a's pass@1")
    parser.add_argument("--go-on", action="store_true", help="measure what the output of an earlier call has not")
    parser.add_argument("--keep", action="store_true", help="keep the logs, which are kept when a part failed")
    parser.add_argument("--output", type=Path, default=FOLDER / "trainer.json")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.only) - set(PARTS))
    if unknown or not chosen.only:
        parser.error(f"--only: {chosen.only!r}: {', '.join(unknown) or 'no part'}; there are {', '.join(PARTS)}")
    if chosen.seeds < 1:
        parser.error(f"--seeds: {chosen.seeds}; at least 1")
    if chosen.steps is not None and chosen.steps < 6:
        parser.error(f"--steps: {chosen.steps}; at least 6: the first and the last ones are not counted")
    return chosen


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends us as Ctrl-C does: by an exception, so that all that was started is ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
