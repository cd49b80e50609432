"""Rows in the layouts that data sets are published in, with values of our own; what a test cares about is named."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]


def taco_row(**changes: Any) -> Row:
    """A row of BAAI/TACO: a program that prints an integer's double."""
    return {
        "question": "Read an integer and print its double.",
        "solutions": json.dumps(["print(2 * int(input()))\n", "n = int(input())\nprint(n + n)\n"]),
        "starter_code": "",
        "input_output": json.dumps({"inputs": ["2\n", "21\n"], "outputs": ["4\n", "42\n"]}),
        "difficulty": "EASY",
        "raw_tags": "['math']",
        "name": None,
        "source": "codeforces",
        "tags": "['Mathematics']",
        "skill_types": "[]",
        "url": "https://codeforces.com/problemset/problem/1/A",
        "Expected Auxiliary Space": None,
        "time_limit": "2.0 seconds",
        "date": "2019-12-31",
        "picture_num": "0",
        "memory_limit": "256.0 megabytes",
        "Expected Time Complexity": None,
        **changes,
    }


def taco_function_row(**changes: Any) -> Row:
    """A row of BAAI/TACO that asks for a function, each result in a list of its own."""
    given = {"fn_name": "double", "inputs": [[2], [21]], "outputs": [[4], [42]]}
    function: Row = {
        "question": "Write a function that doubles.",
        "starter_code": "def double(number):\n\t",
        "input_output": json.dumps(given),
        "solutions": json.dumps(["def double(number):\n    return math.floor(2 * number)\n"]),
        "source": "codewars",
    }
    return taco_row(**{**function, **changes})


def synthetic_1_row(**changes: Any) -> Row:
    """A row of PrimeIntellect/SYNTHETIC-1, whose verification_info is what Python prints for an object."""
    info = {
        "language": "python",
        "test_cases": [
            {"type": "stdin_stdout", "input": "2\n", "output": "4\n"},
            {"type": "stdin_stdout", "input": "it's 21\n", "output": "42\n"},
        ],
    }
    return {
        "response_id": "vcp_7_0",
        "problem_id": "vcp_7",
        "source": "apps",
        "in_source_id": "7",
        "hf_dataset_name": "PrimeIntellect/verifiable-coding-problems",
        "task_type": "verifiable_code",
        "prompt": "Solve the following coding problem using the programming language python:\n\nDouble a number.",
        "gold_standard_solution": "```python\nprint(2 * int(input().split()[-1]))\n```",
        "llm_response": "<think>…</think>",
        "verification_info": str(info),
        "score": 1.0,
        "verification_result_info": "{}",
        "metadata": "{'difficulty': 'introductory'}",
        **changes,
    }


def livecodebench_row(**changes: Any) -> Row:
    """A row of livecodebench/code_generation_lite with one public test and a private one, as JSON."""
    return {
        "question_title": "A. Double",
        "question_content": "Read an integer and print its double.",
        "platform": "codeforces",
        "question_id": "1873_A",
        "contest_id": "1873",
        "contest_date": "2023-08-21T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
        "private_test_cases": json.dumps([{"input": "21\n", "output": "42\n", "testtype": "stdin"}]),
        "metadata": "{}",
        **changes,
    }


def livecodebench_function_row(**changes: Any) -> Row:
    """A row of livecodebench/code_generation_lite that asks for a method; its private test is a compressed pickle."""
    public = [{"input": "[1, 2]\n3", "output": "[3, 6]", "testtype": "functional"}]
    private = [{"input": '["a"]\n2', "output": '["aa"]', "testtype": "functional"}]
    return livecodebench_row(
        **{
            "platform": "leetcode",
            "question_id": "2777",
            "starter_code": "class Solution:\n    def times(self, items: List[int], factor: int) -> List:\n        ",
            "public_test_cases": json.dumps(public),
            "private_test_cases": pickled_tests(private),
            "metadata": '{"func_name": "times"}',
            **changes,
        }
    )


def pickled_tests(tests: Any) -> str:
    """Private tests as LiveCodeBench writes them: base64 of zlib of a pickle of the JSON text."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def mbpp_row(**changes: Any) -> Row:
    """A row of the full google-research-datasets/mbpp."""
    return {
        "task_id": 2,
        "text": "Write a function to find the shared elements of two lists.",
        "code": "def similar_elements(one, two):\r\n  return tuple(set(one) & set(two))\r\n",
        "test_list": [
            "assert set(similar_elements((3, 4, 5), (5, 7, 4))) == set((4, 5))",
            "assert set(similar_elements((1, 2), (3, 4))) == set()",
        ],
        "test_setup_code": "",
        "challenge_test_list": [],
        **changes,
    }


def sanitized_mbpp_row(**changes: Any) -> Row:
    """A row of the sanitized google-research-datasets/mbpp."""
    return {
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "task_id": 14,
        "prompt": "Write a function to find the area of a circle.",
        "code": "import math\ndef area(radius):\n  return math.pi * radius ** 2",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(area(1), 3.14159265, rel_tol=0.001)"],
        **changes,
    }


def deepcoder_row(**changes: Any) -> Row:
    """A row of the part taco of agentica-org/DeepCoder-Preview-Dataset."""
    return {
        "problem": "Read an integer and print its double.",
        "solutions": ["print(2 * int(input()))\n"],
        "tests": json.dumps({"inputs": ["2\n", "21\n"], "outputs": ["4\n", "42\n"]}),
        **changes,
    }


def json_rows(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as lines of JSON."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write_parquet(file: Path, rows: list[Row], *, rows_a_group: int = 100) -> Path:
    """Rows as a Parquet file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=rows_a_group)
    return file
