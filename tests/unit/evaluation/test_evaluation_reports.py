"""What people read: the page, the table for a model card, the published rows."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.grading import Verdict
from deepcoder_evaluation.answers import Answer
from deepcoder_evaluation.markdown import markdown_table
from deepcoder_evaluation.records import GradeRecord, LengthGrade, Place, answer_record
from deepcoder_evaluation.reference_rows import reference_rows
from deepcoder_evaluation.report_page import PAGE_CHARACTERS, PageAnswers, report_page
from deepcoder_evaluation.reports import Circumstances, evaluation_report
from tests.unit.evaluation.evaluation_builders import evaluation_job, loaded, outcome, problem

HOSTILE = "</script><script>alert(1)</script><!-- <b>\u2028"
GIVEN = [
    problem(HOSTILE, metadata={"difficulty": "hard", "contest_date": "2024-08-03"}),
    problem("b", metadata={"difficulty": "easy", "contest_date": "2024-09-03"}),
]


def report() -> EvaluationReport:
    """Two limits: at 8 tokens nothing passes, at 64 one of two."""
    outcomes = [
        outcome(one.id, tokens=tokens, verdict=Verdict.ACCEPTED if (n, tokens) == (0, 64) else Verdict.WRONG_ANSWER)
        for n, one in enumerate(GIVEN)
        for tokens in (8, 64)
    ]
    window = {"from": "2024-08-01"}
    benchmark = loaded(GIVEN, kind="livecodebench", release="v5", window=window)
    around = Circumstances("sha256:1", None, "0.32.0", "Linux (gVisor)")
    job = evaluation_job(sampling={"temperature": 0.6, "maxTokens": 64}, contextLengths=[8])
    return evaluation_report(job, [benchmark], {"held-out": outcomes}, around, 1.0)


def answers(text: str = HOSTILE, count: int = 2) -> PageAnswers:
    found = PageAnswers(count)
    place = Place("held-out", GIVEN[0], 0, 0, 7)
    record = answer_record(place, Answer(text, "stop", 3, 9, 0.5), "request")
    grades = tuple(
        LengthGrade(tokens=tokens, exact=True, finish_reason="stop", verdict=Verdict.ACCEPTED,
                    test_verdicts=("accepted",), detail="")
        for tokens in (8, 64)
    )  # fmt: skip
    found.add(place, record, GradeRecord(rules="rules", grades=grades))
    return found


class _Page(HTMLParser):
    """The scripts of a page and everything that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.fetched: list[str] = []
        self.data = ""
        self._inside: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = given if tag == "script" else {}
        if tag == "script":
            self.scripts.append(given)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        if self._inside.get("id") == "data":
            self.data += data


def test_the_page_needs_nothing_else_and_no_text_of_a_model_becomes_part_of_it() -> None:
    """Two scripts, ours; nothing is fetched; what a model wrote comes back from the data as it was."""
    page = _Page(report_page(report(), answers().found))
    assert [one.get("id") for one in page.scripts] == ["data", None]
    assert page.fetched == []
    (shown,) = json.loads(page.data)
    assert (shown["problem"], shown["answer"]) == (HOSTILE, HOSTILE)
    assert shown["at"] == {"8": "accepted", "64": "accepted"}


def test_the_page_has_scores_intervals_published_rows_with_their_source_and_months() -> None:
    """What the table and the plots say can be read without the script."""
    text = report_page(report(), [])
    assert '<td class="n">50.0 %' in text
    assert "0.0 to 100.0 %" in text
    for row in reference_rows("livecodebench"):
        assert row.model in text
        assert row.source in text
    assert "2024-08: 100.0 % of 1 problems" in text
    assert "2024-09: 0.0 % of 1 problems" in text


def test_long_answers_are_shown_by_their_end_and_the_page_stays_small() -> None:
    """The program is at the end; of many answers each gets less."""
    found = answers("x" * 100_000 + "END", count=10_000).found[0]
    assert found["answer"].endswith("END")
    assert len(found["answer"]) < PAGE_CHARACTERS / 10_000 + 60


def test_the_table_for_a_model_card() -> None:
    """A row for each limit with its interval; what it was measured by stands below."""
    text = markdown_table(report())
    rows = [line for line in text.splitlines() if line.startswith("| held-out")]
    assert [re.split(r" *\| *", row)[1:5] for row in rows] == [
        ["held-out release v5 from 2024-08-01", "2", "8", "0.0 (0.0 to 0.0)"],
        ["held-out release v5 from 2024-08-01", "2", "64", "50.0 (0.0 to 100.0)"],
    ]
    assert "temperature 0.6, top_p 0.95" in text
    assert "no system prompt" in text
    assert "profile strict" in text
