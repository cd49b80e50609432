"""LiveCodeBench's way, natively: for each answer a Manager and a Process of multiprocessing, all tests inside.

Source: lcb_runner/evaluation/compute_code_generation_metrics.py: a pool of processes, in each answer after answer; no
isolation. At its best here: as many processes as cores, kept over all measurements, no debug output, everything that
an answer may import already imported. It is a process of its own, as theirs is, so that its forks copy nothing of this
benchmark's: `python -m benchmarks.sandbox.lcb_way CORES` answers requests of a line each, see `host`.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.sandbox.lcb_grading import FAILED, HEADER, TIME_OUT, Results, run_test

TIMEOUT_SECONDS = 60  # as in every way: see workload
Sample = tuple[str, str]


def sample_of(job: dict[str, Any]) -> Sample:
    """A program and its tests as LiveCodeBench has them: the answer, and input_output as JSON text."""
    tests = job["tests"]
    if job["entry_point"] is None:
        given: dict[str, Any] = {
            "inputs": [test["input"] for test in tests],
            "outputs": [test["output"] for test in tests],
        }
    else:
        given = {
            "inputs": ["\n".join(map(json.dumps, test["arguments"])) for test in tests],
            "outputs": [json.dumps(test["expected"]) for test in tests],
            "fn_name": job["entry_point"].rpartition(".")[2],
        }
    return job["program"], json.dumps(given)


def check(answer: str, input_output: str, lean: bool = False, timeout: int = TIMEOUT_SECONDS) -> Results:
    """An answer's results: a new Manager to bring them back, with what is said of them, a new Process to make them."""
    manager = multiprocessing.Manager()
    kept, said = manager.list(), manager.list()
    process = multiprocessing.Process(target=_run, args=(answer, input_output, timeout, lean, kept, said))
    process.start()
    process.join(timeout=(timeout + 1) * len(json.loads(input_output)["inputs"]) + 5)
    if process.is_alive():
        process.kill()
    # There, too, an answer that ends its process counts as one that failed its first test.
    return kept[0] if len(kept) and said[0] else [-2]


def _run(answer: str, input_output: str, timeout: int, lean: bool, kept: Any, said: Any) -> None:
    results = run_test(input_output, answer, timeout, lean=lean)
    kept.append(results)
    said.append({"error_code": results[-1]})


def outcome(results: Results) -> tuple[str, int]:
    """Verdict and number of tests, in our words."""
    if all(result is True for result in results):
        return "accepted", len(results)
    verdict = {FAILED: "runtime_error", TIME_OUT: "time_limit"}.get(results[-1], "wrong_answer")
    return verdict, len(results)


def grade_all(pool: ProcessPoolExecutor, samples: Sequence[Sample], lean: bool) -> dict[str, Any]:
    """Seconds of wall clock for all of them, and their outcomes."""
    begun = time.perf_counter()
    waiting = [pool.submit(check, *sample, lean) for sample in samples]
    results = [one.result() for one in waiting]
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "outcomes": [outcome(one) for one in results]}


def host(cores: int) -> None:
    """Requests on stdin: {"load": {key: jobs}} once, then {"grade": key, "times": n, "lean": bool}; an answer each."""
    for line in HEADER.split("\n"):
        if line.startswith("import "):
            importlib.import_module(line.removeprefix("import "))
    loaded: dict[str, list[Sample]] = {}
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("fork")) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            if "load" in request:
                loaded = {key: [sample_of(job) for job in jobs] for key, jobs in request["load"].items()}
                print("{}", flush=True)
            else:
                answer = grade_all(pool, loaded[request["grade"]] * request["times"], request["lean"])
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    host(int(sys.argv[1]))
