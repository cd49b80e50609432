"""Problems and files of them for tests; what a test cares about is given by name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepcoder_api.problems import Problem


def problem(id: str = "double", **changes: Any) -> Problem:
    """A problem that asks for a number's double, with two tests and a right solution."""
    given: dict[str, Any] = {
        "id": id,
        "prompt": "Read an integer and print its double.",
        "tests": [
            {"kind": "stdin", "input": "2\n", "output": "4\n"},
            {"kind": "stdin", "input": "21\n", "output": "42\n"},
        ],
        "solution": "print(2 * int(input()))\n",
    }
    return Problem.model_validate({**given, **changes})


def json_lines(problems: Iterable[Problem]) -> bytes:
    """A file of problems in the project's own schema."""
    return b"".join(one.model_dump_json().encode() + b"\n" for one in problems)


def human_eval_row(**changes: str) -> bytes:
    """A row as openai/human-eval publishes them."""
    given = {
        "task_id": "HumanEval/0",
        "prompt": 'def double(number):\n    """Twice the number."""\n',
        "entry_point": "double",
        "canonical_solution": "    return 2 * number\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    return json.dumps({**given, **changes}).encode()


def write(file: Path, content: bytes, *, compressed: bool = False) -> str:
    """Write a file and return its file:// URI."""
    file.write_bytes(gzip.compress(content) if compressed else content)
    return file.as_uri()
