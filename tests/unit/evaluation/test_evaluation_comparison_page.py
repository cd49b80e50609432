"""Two evaluations side by side: what `deepcoder report A B` says and what its page shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deepcoder_api.grading import Verdict
from deepcoder_cli.main import app
from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.compared_answers import LONGEST_END, read_answers, shares
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.records import GradeRecord, LengthGrade, Place, answer_record
from deepcoder_evaluation.reports import Circumstances, evaluation_report
from deepcoder_evaluation.samples import Judged, samples_table
from tests.unit.evaluation.evaluation_builders import evaluation_job, loaded, outcome, problem

HOSTILE = "</script><script>alert(1)</script>"
PROBLEMS = [problem(id) for id in ("both", "gained", "lost", HOSTILE)]
FIRST = {"both", "lost"}
SECOND = {"both", "gained"}


def judged(id: str, accepted: bool, text: str) -> Judged:
    """An answer, as it was graded."""
    (given,) = [one for one in PROBLEMS if one.id == id]
    place = Place("held-out", given, 0, 0, 7)
    verdict = Verdict.ACCEPTED if accepted else Verdict.WRONG_ANSWER
    grade = LengthGrade(
        tokens=64, exact=True, finish_reason="stop", verdict=verdict, test_verdicts=(verdict.value,), detail=""
    )
    return (
        place,
        answer_record(place, Answer(text, "stop", 3, 9, 0.5), "request"),
        GradeRecord(rules="", grades=(grade,)),
    )


def evaluation(folder: Path, solved: set[str], temperature: float = 0.6, text: str = "print(1)") -> Path:
    """A folder as an evaluation leaves it: its report and its samples."""
    outcomes = [
        outcome(one.id, tokens=64, verdict=Verdict.ACCEPTED if one.id in solved else Verdict.WRONG_ANSWER)
        for one in PROBLEMS
    ]
    job = evaluation_job(sampling={"temperature": temperature, "maxTokens": 64})
    around = Circumstances("sha256:1", None, "0.32.0", "Linux (gVisor)")
    report = evaluation_report(job, [loaded(PROBLEMS)], {"held-out": outcomes}, around, 1.0)
    folder.mkdir()
    (folder / "report.json").write_text(report.model_dump_json(by_alias=True))
    rows = [judged(one.id, one.id in solved, f"{one.id} {text}") for one in PROBLEMS]
    pq.write_table(samples_table(rows), folder / "samples.parquet")
    return folder


def told(*arguments: object) -> Result:
    """`deepcoder report` with these."""
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_what_flipped_and_what_else_differs_is_told_and_written_as_a_page(tmp_path: Path) -> None:
    """Numbers and sentences are there without the script; its data have both answers of each problem."""
    first = evaluation(tmp_path / "a", FIRST)
    second = evaluation(tmp_path / "b", SECOND, temperature=0.0)
    page = tmp_path / "page.html"
    said = told(first, second, "--html", page)
    assert said.exit_code == 0, said.output
    assert "not only the model differs: sampling" in said.output
    assert "solved by the second alone (1): gained" in said.output
    assert "by the first alone (1): lost" in said.output
    text = page.read_text()
    for shown in ("not only the model differs: sampling", "no more than noise", "1 by B alone", "1 by neither"):
        assert shown in text
    assert not re.search(r"(src|href)=", text)
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    rows = {row["problem"]: row for row in json.loads(data)}
    kinds = {"both": "both", "gained": "gained", "lost": "lost", HOSTILE: "neither"}
    assert {id: row["kind"] for id, row in rows.items()} == kinds
    assert rows["gained"]["first"][0]["verdict"] == "wrong_answer"
    assert rows["gained"]["second"][0]["answer"] == "gained print(1)"


def test_of_a_long_answer_its_end_is_read(tmp_path: Path) -> None:
    """The program is there; the share of each problem is counted from all its answers."""
    found = read_answers(LocalFolder(evaluation(tmp_path / "a", FIRST, text="x" * 100_000 + "END")))["held-out"]
    assert found["both"][0].end.endswith("END")
    assert len(found["both"][0].end) < LONGEST_END + 60
    assert shares(found) == {"both": 1.0, "gained": 0.0, "lost": 1.0, HOSTILE: 0.0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["A", "--html", "page.html"], "--html: is for two evaluations"),
        (["A", "B", "--markdown"], "--markdown: is for one evaluation"),
        (["A", "B", "C"], "two evaluations can be compared, not more"),
        (["A", "B"], "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    monkeypatch.chdir(tmp_path)
    refused = told(*arguments)
    assert (refused.exit_code, said in refused.output) == (2, True), refused.output
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With its path."""
    first, second = evaluation(tmp_path / "a", FIRST), evaluation(tmp_path / "b", SECOND)
    refused = told(first, second, "--html", tmp_path / "nowhere" / "page.html")
    assert refused.exit_code == 2
    assert "nowhere" in refused.output
