"""`python -m benchmarks.evaluation`: write build/bench/evaluation.json and show it.

At its top level: `engine_busy_share` (seconds of generation alone over seconds of the whole evaluation, grading
overlapped), `one_generation_over_three` (seconds of three limits from one generation over those of three evaluations),
`grading_over_lcb` (programs a second of our server over LiveCodeBench's way, stdin and calls with 10 tests, geometric
mean), `memory_mib_per_answer` (slope over the number of 64K-token answers in flight, up to 300). The engine is a
stand-in that answers at a fixed pace (stand_in_engine.py); programs really run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog

from benchmarks.evaluation.memory import LONGEST
from benchmarks.evaluation.runs import (
    ROOT,
    Setting,
    at_longest,
    generation_seconds,
    seconds_of,
    stand_in,
    write_problems,
)
from benchmarks.machine import cores, describe_machine
from benchmarks.sandbox.ours import Ours
from benchmarks.sandbox.ways import HostWay, OursWay
from benchmarks.sandbox.workload import Cell, Submission, make_workload
from deepcoder_api.problems import Problem, StdinTest
from deepcoder_sandbox.local import find_runsc, start_local_sandbox

CELLS = (Cell("stdin", 10, False), Cell("call", 10, False))
LENGTHS = (1000, 2000, 4000)
PACE = 400.0
IN_FLIGHT = 16
MEMORY_COUNTS = (50, 150, 300)
MEMORY_SECONDS = 900


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    parser.add_argument("--programs", type=int, default=128, help="answers of the timed evaluations")
    parser.add_argument("--seconds", type=float, default=10.0, help="of grading, for each way on each cell")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench" / "evaluation.json")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    runsc = find_runsc()
    if runsc is None:
        sys.exit("gVisor is needed: python3 dev/toolchain.py builds it")
    workload = make_workload(2 * options.programs)
    with tempfile.TemporaryDirectory(prefix="bench-evaluation-") as folder:
        figures = timed([*workload[CELLS[0]]][: options.programs], Path(folder))
        figures |= memory(Path(folder))
    figures |= grading({cell: [*workload[cell]][:64] for cell in CELLS}, options.seconds)
    figures |= {"machine": describe_machine(runsc), "command": " ".join(sys.argv)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def timed(submissions: list[Submission], folder: Path) -> dict[str, Any]:
    """Generation alone, the whole evaluation, and each limit in an evaluation of its own."""
    problems = [
        Problem(id=one.id, prompt=f"Solve {one.id}.", entry_point=one.suite.entry_point, tests=one.suite.tests)
        for one in submissions
    ]
    pairs = zip(problems, submissions, strict=True)
    answers = {problem.prompt: answer(one, place) for place, (problem, one) in enumerate(pairs)}
    tokenizer = byte_tokenizer(folder)
    write_problems(problems, folder / "problems.jsonl")
    with start_local_sandbox() as sandbox, stand_in(answers, PACE, tokenizer, folder) as engine:
        setting = Setting(folder / "problems.jsonl", tokenizer, engine, sandbox.url)
        job = setting.job(LENGTHS, IN_FLIGHT)
        alone = asyncio.run(generation_seconds(setting, job, [*answers], folder / "alone"))
        whole = asyncio.run(seconds_of(setting, job, folder / "whole"))
        single = [asyncio.run(seconds_of(setting, at_longest(job, length), folder / str(length))) for length in LENGTHS]
    return {
        "engine_busy_share": round(alone / whole, 3),
        "one_generation_over_three": round(whole / sum(single), 3),
        "seconds": {"generation": round(alone, 1), "one": round(whole, 1), "three": [round(one, 1) for one in single]},
    }


def answer(one: Submission, place: int) -> str:
    """Thinking of 500 to 3,500 tokens, then the program."""
    return f"<think>\n{'so ' * (170 + 1000 * (place % 16) // 16)}\n</think>\n```python\n{one.program}\n```"


def memory(folder: Path) -> dict[str, Any]:
    """Peaks by the number of answers in flight, and the slope of a line through them."""
    tokenizer = byte_tokenizer(folder)
    text = "x" * (LONGEST - 40) + "\n```python\nprint(1)\n```"
    peaks: list[dict[str, float]] = []
    with start_local_sandbox() as sandbox, stand_in({"": text}, 4000.0, tokenizer, folder) as engine:
        for count in MEMORY_COUNTS:
            tests = (StdinTest(input="", output="1"),)
            problems = [Problem(id=f"p{number}", prompt=str(number), tests=tests) for number in range(count)]
            file = folder / f"memory-{count}.jsonl"
            write_problems(problems, file)
            words = [engine, sandbox.url, str(tokenizer), str(file), str(folder / f"memory-{count}")]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.evaluation.memory", *words],
                cwd=ROOT, check=True, capture_output=True, text=True, timeout=MEMORY_SECONDS,
            )  # fmt: skip
            peaks.append(json.loads(done.stdout.splitlines()[-1]))
    return {"memory_mib_per_answer": round(slope([(one["answers"], one["mib"]) for one in peaks]), 3), "memory": peaks}


def grading(workload: dict[Cell, list[Submission]], seconds: float) -> dict[str, Any]:
    """Programs a second of our server and of LiveCodeBench's way."""
    rates: dict[str, dict[str, float]] = {}
    command = [sys.executable, "-m", "benchmarks.sandbox.lcb_way", str(cores())]
    lcb = HostWay("lcb", command, workload, lean=False)
    try:
        with Ours(native=False, workers=cores(), in_flight=4 * cores()) as server:
            for way in (OursWay(server, workload), lcb):
                for cell in workload:
                    trial = way.grade(cell, 1)
                    graded = way.grade(cell, max(1, round(seconds / trial.seconds)))
                    rates.setdefault(cell.name, {})[way.name] = len(graded.outcomes) / graded.seconds
    finally:
        lcb.close()
    ratios = [ours / theirs for ours, theirs in (tuple(one.values()) for one in rates.values())]
    return {
        "grading_over_lcb": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 3),
        "programs_a_second": {cell: {way: round(rate, 1) for way, rate in its.items()} for cell, its in rates.items()},
    }


def slope(points: list[tuple[float, float]]) -> float:
    """Of the least-squares line."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def byte_tokenizer(folder: Path) -> Path:
    """tokenizer.json whose tokens are bytes."""
    from tests.tiny_models import write_tokenizer

    target = folder / "tokenizer"
    target.mkdir(exist_ok=True)
    write_tokenizer(target)
    return target / "tokenizer.json"


if __name__ == "__main__":
    main()
