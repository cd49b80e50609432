"""AIME as a benchmark: the layouts of the hub, what is no answer of an AIME, and DeepScaleR's measure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import deepcoder_evaluation.benchmarks as package
from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.evaluation_report import BenchmarkReport
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import MathTest
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.benchmarks.loading import load_benchmark
from deepcoder_evaluation.benchmarks.registry import kinds
from deepcoder_evaluation.reference_rows import reference_rows
from deepcoder_evaluation.scoring import benchmark_report
from deepcoder_sandbox.extraction import assemble_program
from tests.dataset_rows import write_parquet
from tests.unit.evaluation.evaluation_builders import outcome

STORE = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")
OF_2024 = {"id": 60, "problem": "Find $x$.", "solution": "", "answer": "033", "url": "https://host/2024_AIME_I/4",
           "year": "2024"}  # fmt: skip


def load(file: Path, **fields: Any) -> LoadedBenchmark:
    return load_benchmark(
        STORE, Benchmark.model_validate({"name": "a", "kind": "aime", "uri": file.as_uri(), **fields})
    )


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "aime.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_rows_of_the_hubs_layouts(tmp_path: Path) -> None:
    """Parquet and JSON lines; the year from its column, the id or the address; ids of their own."""
    rows = [
        {"ID": "2023-II-4", "Problem": "How many?", "Solution": "", "Answer": 7},
        {"question": "What is the angle?", "answer": r"336^\circ"},
        {"problem": "Sum?", "answer": "0", "url": "https://host/wiki/2022_AIME_II_Problems/Problem_1"},
    ]
    write_parquet(tmp_path / "train.parquet", [OF_2024])
    write(tmp_path, *rows)
    found = {one.id: one for one in load(tmp_path).problems}
    assert [(id.count("/"), one.tests, one.metadata.get("year")) for id, one in found.items()] == [
        (1, (MathTest(expected="7"),), "2023"),
        (1, (MathTest(expected="336"),), None),
        (1, (MathTest(expected="0"),), "2022"),
        (2, (MathTest(expected="33"),), "2024"),
    ]
    assert {"aime/2023-II-4", "aime/2024/60"} <= set(found)
    prompt = found["aime/2024/60"].prompt
    assert prompt == "Find $x$. Let's think step by step and output the final answer within \\boxed{}."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"problem": "?", "answer": "1000"}, "answer: must be a whole number from 0 to 999, not '1000'"),
        ({"problem": "?", "answer": r"\frac12"}, "answer: must be a whole number from 0 to 999"),
        ({"problem": "?", "answer": "-3"}, "from 0 to 999, not '-3'"),
        ({"problem": "?"}, "answer: Field required"),
        ({"answer": "3"}, "problem: Field required"),
    ],
)
def test_a_row_that_is_no_question_of_an_aime_is_refused(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    """With file, line and value: other mathematics is kind jsonl's."""
    with pytest.raises(ValueError, match=rf"aime\.jsonl: line 2: .*{re.escape(said)}"):
        load(write(tmp_path, OF_2024, row))


def test_the_value_of_an_answer_is_its_last_box(tmp_path: Path) -> None:
    """Whatever the profile: the report says so, and an answer without a box has none."""
    loaded = load(write(tmp_path, OF_2024))
    (problem,) = loaded.problems
    rule = loaded.kind.extraction("lcb-v5")
    assert rule == loaded.kind.extraction("strict") == "last-boxed"
    assert assemble_program(problem, "<think>\\boxed{1}</think> so \\boxed{2}, no: \\boxed{33}.", rule) == "33"
    assert assemble_program(problem, "33", rule) is None


def test_sixteen_repeats_are_deepscalers_measure(tmp_path: Path) -> None:
    """pass@1 is the mean over 16 answers to each problem, with the spread of the repeats; by year, too."""
    loaded = load(write(tmp_path, OF_2024, {"ID": "2023-I-1", "Problem": "?", "Answer": 1}), repeats=16)
    right = {"aime/2024/60": 4, "aime/2023-I-1": 16}
    outcomes = [
        outcome(id, repeat=repeat, verdict=Verdict.ACCEPTED if repeat < count else Verdict.WRONG_ANSWER)
        for id, count in right.items()
        for repeat in range(16)
    ]
    report: BenchmarkReport = benchmark_report(loaded, outcomes, "last-boxed")
    assert report.pass_at_1 == (4 / 16 + 1) / 2
    assert report.final.repeats == (1.0,) * 4 + (0.5,) * 12
    assert report.final.standard_deviation == pytest.approx(0.2236, abs=1e-4)
    by_year = {year: score.pass_at_1 for year, score in report.final.groups["year"].items()}
    assert by_year == {"2023": 1.0, "2024": 0.25}
    assert {row.model: row.value for row in reference_rows("aime")}["DeepScaleR-1.5B-Preview"] == 43.1


def test_another_benchmark_takes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is put beside the others is found by its KIND and is read by it; nothing else is touched."""
    (tmp_path / "sums.py").write_text(
        "import json\n"
        "from deepcoder_api.problems import MathTest, Problem\n"
        "from deepcoder_evaluation.benchmarks.kind import BenchmarkKind\n"
        "class Sums(BenchmarkKind):\n"
        "    name = 'sums'\n"
        "    def rows(self, benchmark, file, uri, name):\n"
        "        for line in file.read_text().splitlines():\n"
        "            a, b = json.loads(line)\n"
        "            yield Problem(id=f'{a}+{b}', prompt=f'{a}+{b}?', tests=(MathTest(expected=str(a + b)),))\n"
        "KIND = Sums()\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    (tmp_path / "rows.jsonl").write_text("[1, 2]\n[3, 4]\n")
    kinds.cache_clear()
    try:
        benchmark = Benchmark.model_validate({"name": "s", "kind": "jsonl", "uri": (tmp_path / "rows.jsonl").as_uri()})
        loaded = load_benchmark(STORE, benchmark.model_copy(update={"kind": "sums"}))
        outcomes = [outcome("1+2"), outcome("3+4", verdict=Verdict.WRONG_ANSWER)]
        assert benchmark_report(loaded, outcomes, "last-boxed").pass_at_1 == 0.5
    finally:
        kinds.cache_clear()
