"""In a container: a fresh `python program.py` for each test, as sandbox services run programs.

A service's own work (HTTP, queues, limits) is left out: this is that way at its best. Requests on stdin, a line each:
{"load": {key: jobs}} once, then {"grade": key, "times": n}; an answer each on stdout. Needs the standard library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from in_process import same_lines  # beside this file, wherever that is

TIMEOUT_SECONDS = 60  # as in every way: see workload
# One thread each, as in ours: numpy's would only fight over the cores.
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
CALL = """

if __name__ == "__main__":
    import json as _json, sys as _sys
    print(_json.dumps({function}(*_json.loads(_sys.stdin.read()))))
"""


def run_job(job: dict[str, Any]) -> tuple[str, int]:
    """The verdict on a job's program, and how many tests it took."""
    entry_point = job["entry_point"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.py"
        file.write_text(job["program"] + (CALL.format(function=_callable(entry_point)) if entry_point else ""))
        for count, test in enumerate(job["tests"], start=1):
            verdict = _run_test(file, test)
            if verdict != "accepted":
                return verdict, count
    return "accepted", len(job["tests"])


def _callable(entry_point: str) -> str:
    owner, _, method = entry_point.partition(".")
    return f"{owner}().{method}" if method else owner


def _run_test(file: Path, test: dict[str, Any]) -> str:
    text = test["input"] if "input" in test else json.dumps(test["arguments"])
    try:
        done = subprocess.run(
            [sys.executable, str(file)],
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            env=ENVIRONMENT,
        )
    except subprocess.TimeoutExpired:
        return "time_limit"
    if done.returncode:
        return "runtime_error"
    if "input" in test:
        return "accepted" if same_lines(test["output"], done.stdout) else "wrong_answer"
    return "accepted" if json.loads(done.stdout) == test["expected"] else "wrong_answer"


def host(cores: int) -> None:
    """Answer requests until stdin ends."""
    loaded: dict[str, list[Any]] = {}
    with ThreadPoolExecutor(cores) as pool:
        for line in sys.stdin:
            request = json.loads(line)
            if "load" in request:
                loaded = request["load"]
                print("{}", flush=True)
                continue
            begun = time.perf_counter()
            outcomes = list(pool.map(run_job, loaded[request["grade"]] * request["times"]))
            print(json.dumps({"seconds": time.perf_counter() - begun, "outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    host(int(sys.argv[1]))
