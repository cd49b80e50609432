"""`python -m benchmarks.trainer.memory`: peak memory of an update by the length of its one sequence.

    python -m benchmarks.trainer.memory                                   4,096 to 65,536 tokens, each twice the last
    python -m benchmarks.trainer.memory --tokens 1024 2048 4096 8192      a trial

A small model with a wide vocabulary trains on one sequence on CPU, in a fresh process for each length, and recomputes
its layers. The head takes 64 tokens at a time, not the trainer's 1,024: what chunks cost does not depend on the length,
and would hide what layers cost in a model as small as this. The report has each peak, less what the process held before
the update, and at its top level

peak_memory_slope: how what is added from one length to the next grows, as the exponent of the length. 1 is linear, 2
    would be attention's scores whole in memory. A constant part does not change it.
logits_share: bytes that one more token adds, over what its logits alone would take in fp32. 1 or more would be a
    vocabulary-wide spike.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, process_mib
from benchmarks.trainer.random_model import Shape

ROOT = Path(__file__).resolve().parents[2]
SHAPE = Shape(layers=2, hidden=64, intermediate=512, heads=2, key_heads=1, words=32_768)
CHUNK_TOKENS = 64
LENGTHS = (4096, 8192, 16_384, 32_768, 65_536)
SECONDS = 3600.0  # for one length


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trainer.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=list(LENGTHS), help="each twice the one before")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench" / "trainer-memory.json")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(peak_of_update(options.measure, options.tokens[0])))
        return
    if len(options.tokens) < 3 or any(longer != 2 * shorter for shorter, longer in pairwise(options.tokens)):
        parser.error(f"--tokens: {options.tokens} must be three lengths or more, each twice the one before")
    report = measure(options.tokens)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def measure(lengths: list[int]) -> dict[str, Any]:
    """The report."""
    import torch

    from benchmarks.trainer.random_model import write_random_model

    machine = describe_machine()
    by_length: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_random_model(Path(folder), SHAPE, dtype=torch.float32)
        for tokens in lengths:
            by_length[tokens] = _in_fresh_process(Path(folder), tokens)
            print(f"{tokens} tokens: {by_length[tokens]}", file=sys.stderr)
    peaks = {tokens: found["peak_mib"] for tokens, found in by_length.items()}
    return {
        **figures(peaks, SHAPE.words),
        "by_tokens": by_length,
        "shape": vars(SHAPE),
        "chunk_tokens": CHUNK_TOKENS,
        "machine": machine,
    }


def figures(peaks: Mapping[int, float], words: int) -> dict[str, float]:
    """peak_memory_slope and logits_share, from MiB by tokens; each length is twice the one before, three or more.

    peak = a + b tokens^p has differences that grow with the same p, whatever a is: p is the slope of their logarithms.
    """
    added = {longer: peaks[longer] - peaks[shorter] for shorter, longer in pairwise(sorted(peaks))}
    if min(added.values()) <= 0:
        raise ValueError(f"a longer sequence took no more memory than a shorter one: {dict(peaks)} MiB")
    slope = statistics.linear_regression(
        [math.log2(tokens) for tokens in added], [math.log2(mib) for mib in added.values()]
    ).slope
    shortest, longest = min(peaks), max(peaks)
    bytes_per_token = (peaks[longest] - peaks[shortest]) * 1024**2 / (longest - shortest)
    return {
        "peak_memory_slope": round(slope, 3),
        "bytes_per_token": round(bytes_per_token),
        "logits_share": round(bytes_per_token / (4 * words), 4),
    }


def peak_of_update(model: Path, tokens: int) -> dict[str, float]:
    """What this process held before an update of one sequence, and what the update added at most, in MiB.

    A short update comes first, so that gradients and Adam's moments are there.
    """
    from benchmarks.trainer.alone import engine_alone, join_alone, update
    from benchmarks.trainer.random_model import random_microbatch

    join_alone()
    engine = engine_alone(model, precision="fp32", zero_stage=0, chunk_tokens=CHUNK_TOKENS)
    update(engine, [random_microbatch([64], SHAPE.words)])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    held = process_mib("VmRSS")
    started = time.monotonic()
    update(engine, [random_microbatch([tokens], SHAPE.words)])
    return {
        "peak_mib": round(process_mib("VmHWM") - held, 1),
        "held_mib": round(held, 1),
        "seconds": round(time.monotonic() - started, 1),
    }


def _in_fresh_process(model: Path, tokens: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.trainer.memory", "--tokens", str(tokens), "--measure", str(model)]
    # What is freed goes back at once, so that the peak is of what was in use.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{tokens} tokens: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
