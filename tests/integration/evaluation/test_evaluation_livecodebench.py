"""279 rows of LiveCodeBench in all their shapes: a real model answers through vLLM, its programs are run in gVisor.

The model answers with one of four texts, whatever it is asked; so what each answer must be graded as is known.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_evaluation.chat import ChatEngine
from deepcoder_sandbox.local import find_runsc
from tests.dataset_rows import Row, json_rows, livecodebench_function_row, livecodebench_row, pickled_tests
from tests.engine_servers import MODEL, READY_SECONDS, running_engine
from tests.tiny_models import write_choosing_model

ROWS = 279
DOUBLE, TRIPLE = "print(2 * int(input()))", "print(3 * int(input()))"
TIMES = "class Solution:\n    def times(self, items, factor):\n        return items * factor"
PROSE = "I would double it."
TEXTS = {f"```python\n{DOUBLE}\n```": DOUBLE, f"```python\n{TRIPLE}\n```": TRIPLE, f"```python\n{TIMES}\n```": TIMES,
         PROSE: PROSE}  # fmt: skip
LIST_TESTS = [{"input": "[1, 2]\n2", "output": "[1, 2, 1, 2]", "testtype": "functional"}]
TRIPLE_TESTS = [{"input": "4\n", "output": "12\n", "testtype": "stdin"}]
SHAPES: dict[str, tuple[str, Row]] = {
    "stdin, private tests as JSON": (DOUBLE, livecodebench_row()),
    "stdin, private tests pickled": (
        TRIPLE,
        livecodebench_row(
            platform="atcoder",
            question_content="Read an integer and print three times it.",
            public_test_cases="[]",
            private_test_cases=pickled_tests(TRIPLE_TESTS),
        ),
    ),
    "function, private tests pickled": (
        TIMES,
        livecodebench_function_row(public_test_cases="[]", private_test_cases=pickled_tests(LIST_TESTS)),
    ),
}
"""Each with the program that solves it."""
DATES = ("2024-08-01T00:00:00", "2024-11-30T12:00:00", "2025-02-01T23:59:59")
OUTSIDE = ("2024-07-31T23:59:59", "2025-02-02T00:00:00")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_runsc() is None or os.geteuid() != 0, reason="needs runsc and root"),
]


@dataclass(frozen=True)
class Scored:
    """The report, and the rows of samples.parquet with the shape of the row that each answers."""

    report: EvaluationReport
    samples: list[dict[str, Any]]
    shape_of: dict[str, str]


def rows() -> Iterator[tuple[str, Row]]:
    """As many of every shape and date, and two outside the window."""
    kinds = list(product(SHAPES, DATES))
    for number in range(ROWS):
        shape, date = kinds[number % len(kinds)]
        yield shape, {**SHAPES[shape][1], "question_id": f"q{number}", "contest_date": date}
    for number, date in enumerate(OUTSIDE):
        yield "outside", livecodebench_row(question_id=f"outside{number}", contest_date=date)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """`deepcoder evaluate` of vLLM with the model, started as the engine of an evaluation is."""
    folder = tmp_path_factory.mktemp("livecodebench")
    model = write_choosing_model(folder / "model", list(TEXTS))
    shaped = list(rows())
    (folder / "test.jsonl").write_bytes(json_rows([row for _, row in shaped]))
    with running_engine(model, folder / "engine", max_tokens=32, max_model_length=1024) as url:
        asyncio.run(wait_ready(url))
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "deepcoder"), "evaluate", "--url", f"{url}/v1", "--model", MODEL),
                *("--benchmark", f"livecodebench={(folder / 'test.jsonl').as_uri()}"),
                *("--from", "2024-08-01", "--to", "2025-02-01", "--profile", "lcb-v5", "--engine", "vllm"),
                *("--temperature", "1", "--top-p", "1", "--max-tokens", "32", "--output", str(folder / "scored")),
            ],
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    report = EvaluationReport.model_validate_json((folder / "scored" / "report.json").read_text())
    samples = pq.read_table(folder / "scored" / "samples.parquet").to_pylist()
    return Scored(report, samples, {f"livecodebench/{row['question_id']}": shape for shape, row in shaped})


async def wait_ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await ChatEngine(url, MODEL, client, deadline_seconds=120).wait_ready(READY_SECONDS)


def test_every_row_of_the_window_is_answered_and_those_outside_are_counted(scored: Scored) -> None:
    """The first and the last day count whole."""
    (benchmark,) = scored.report.benchmarks
    assert (benchmark.problems, benchmark.left_out) == (ROWS, {"outside_window": len(OUTSIDE)})
    assert len({row["problem"] for row in scored.samples}) == len(scored.samples) == ROWS
    assert "gvisor" in scored.report.grader.isolation
    assert (scored.report.grader.profile, benchmark.extraction) == ("lcb-v5", "lcb")


def test_every_answer_is_graded_as_what_it_is(scored: Scored) -> None:
    """A text is right for the one shape that it solves, and no program is in prose; the model chose all of them."""
    seen = Counter[tuple[str, str]]()
    for row in scored.samples:
        shape, program = scored.shape_of[row["problem"]], TEXTS[row["answer"]]
        right = program == SHAPES[shape][0]
        assert (row["verdict"] == "accepted") == right, (shape, program, row["verdict"])
        assert (row["verdict"] == "no_program") == (program == PROSE)
        seen[shape, program] += 1
    assert set(seen) == set(product(SHAPES, TEXTS.values()))


def test_the_score_is_the_share_of_right_answers_in_every_group(scored: Scored) -> None:
    """By platform and by month, counted here from the samples."""
    final = scored.report.benchmarks[0].final
    right = {row["problem"]: row["verdict"] == "accepted" for row in scored.samples}
    assert final.pass_at_1 == pytest.approx(sum(right.values()) / ROWS)
    assert sum(final.verdicts.values()) == ROWS
    by_platform = {"codeforces": 0, "atcoder": 1, "leetcode": 2}
    for platform, place in by_platform.items():
        mine = [good for problem, good in right.items() if scored.shape_of[problem] == list(SHAPES)[place]]
        group = final.groups["platform"][platform]
        assert (group.problems, group.pass_at_1) == (len(mine), pytest.approx(sum(mine) / len(mine)))
    assert set(final.groups["month"]) == {"2024-08", "2024-11", "2025-02"}
