"""A program's tests one after the other in this process, with nothing in between: no isolation, no time-out, no fork.

The work itself, which no way of grading can save: its wall time is a program's *own time*. Also what runs inside a
container that is made for one program: `python in_process.py` reads a job from stdin and prints how it went. Needs
nothing but the standard library, and numpy only where the program does.
"""

from __future__ import annotations

import io
import json
import sys
import time
from types import CodeType
from typing import Any

Job = dict[str, Any]


def run_job(job: Job) -> tuple[str, int]:
    """The verdict (as deepcoder_api.grading has them) on a job's program, and how many tests it took."""
    code = compile(job["program"], "program.py", "exec")
    entry_point, call = job["entry_point"], None
    for count, test in enumerate(job["tests"], start=1):
        try:
            if entry_point is None:
                passed = same_lines(test["output"], _printed(code, test["input"]))
            else:
                call = call or _defined(code, entry_point)
                passed = call(*test["arguments"]) == test["expected"]
        except Exception:  # noqa: BLE001 - whatever the program raises
            return "runtime_error", count
        if not passed:
            return "wrong_answer", count
    return "accepted", len(job["tests"])


def own_seconds(job: Job, times: int = 3) -> float:
    """Wall time of the program for all its tests up to the first that fails: compiling and comparing included.

    The least of some runs, in this process.
    """
    best = float("inf")
    for _ in range(times):
        begun = time.perf_counter()
        run_job(job)
        best = min(best, time.perf_counter() - begun)
    return best


def same_lines(expected: str, actual: str) -> bool:
    """Whether two outputs are equal but for white space at the ends of lines and of the text."""
    return [line.rstrip() for line in expected.rstrip().split("\n")] == [
        line.rstrip() for line in actual.rstrip().split("\n")
    ]


def _printed(code: CodeType, text: str) -> str:
    before = sys.stdin, sys.stdout
    sys.stdin, sys.stdout = io.StringIO(text), io.StringIO()
    try:
        exec(code, {"__name__": "__main__"})
        return sys.stdout.getvalue()
    finally:
        sys.stdin, sys.stdout = before


def _defined(code: CodeType, entry_point: str) -> Any:
    names: dict[str, Any] = {"__name__": "program"}
    exec(code, names)
    name, _, method = entry_point.partition(".")
    return getattr(names[name](), method) if method else names[name]


def main() -> None:
    """One job from stdin; with --own, many: their own seconds, where run_job is known to be right."""
    given = json.loads(sys.stdin.read())
    if sys.argv[1:] == ["--own"]:
        print(json.dumps([own_seconds(job) for job in given]))
    else:
        print(json.dumps(run_job(given)))


if __name__ == "__main__":
    main()
