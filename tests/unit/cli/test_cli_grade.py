"""`deepcoder grade` against servers that are there, not there, and not asked at all: reports and exit codes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deepcoder_api.grading import GradeResult, IsolationReport, Limits, TestResult, Verdict
from deepcoder_api.problems import test_suite
from deepcoder_cli.grading.inputs import Answer, Inputs
from deepcoder_cli.grading.report import AnswerReport
from deepcoder_cli.grading.session import Rules, grade_answers, longest_wait
from deepcoder_cli.main import app
from deepcoder_sandbox.client import SandboxClient
from tests.problem_builders import json_lines, problem

ISOLATION = IsolationReport(verified=True, required=True)


class Handler(BaseHTTPRequestHandler):
    """A grading server that accepts `print` and finds all else wrong; the program `refused` is refused."""

    isolation = ISOLATION

    def do_GET(self) -> None:
        """The isolation report."""
        self._answer(200, self.isolation.model_dump_json())

    def do_POST(self) -> None:
        """A grade."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        if asked["program"] == "refused":
            self._answer(422, '{"error": "malformed"}')
            return
        verdict = Verdict.ACCEPTED if asked["program"].startswith("print") else Verdict.WRONG_ANSWER
        result = GradeResult(id=asked["id"], verdict=verdict, tests=(TestResult(verdict=verdict),), tests_total=1)
        self._answer(200, result.model_dump_json())

    def log_message(self, *arguments: Any) -> None:
        """Quietly."""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def serving(handler: type[Handler] = Handler) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server: its URL, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def invoke(folder: Path, *options: str, programs: tuple[str, ...] = ("print(1)",)) -> Result:
    """The command with an answers file of the programs."""
    (folder / "problems.jsonl").write_bytes(json_lines([problem("double")]))
    rows = [json.dumps({"problem": "double", "program": program}) for program in programs]
    (folder / "answers.jsonl").write_text("\n".join(rows))
    files = ["--problems", str(folder / "problems.jsonl"), "--answers", str(folder / "answers.jsonl")]
    return CliRunner().invoke(app, ["grade", *files, *options], env={"COLUMNS": "200"})


def test_wrong_answers_are_no_failure_of_grading(tmp_path):
    """Exit code 0; the report has every answer in its place, and the server was asked as the options say."""
    output = tmp_path / "report.json"
    options = ("--output", str(output), "--timeout", "2.5", "--memory", "128", "--all-tests", "--profile", "lcb-v5")
    with serving() as (url, asked):
        result = invoke(tmp_path, "--url", url, *options, programs=("print(1)", "wrong", "print(2)"))
    assert result.exit_code == 0, result.output
    report = json.loads(output.read_text())
    assert [one["verdict"] for one in report["results"]] == ["accepted", "wrong_answer", "accepted"]
    assert report["pass_at_1"] == pytest.approx(2 / 3)
    assert report["conditions"]["isolated"] is True
    for one in asked:
        assert (one["profile"], one["stop_on_first_failure"]) == ("lcb-v5", False)
        assert (one["limits"]["timeout_seconds"], one["limits"]["memory_mib"]) == (2.5, 128)
    assert "pass@1 0.6667 over 1 problems, 3 answers" in result.output


def test_answer_that_cannot_be_graded_is_exit_code_1(tmp_path):
    """It has no verdict, and there is no score."""
    output = tmp_path / "report.json"
    with serving() as (url, _):
        result = invoke(tmp_path, "--url", url, "--output", str(output), programs=("print(1)", "refused"))
    assert result.exit_code == 1
    report = json.loads(output.read_text())
    assert [one["verdict"] for one in report["results"]] == ["accepted", None]
    assert "malformed" in report["results"][1]["error"]
    assert report["pass_at_1"] is None


def test_server_without_isolation_is_warned_of(tmp_path):
    """Loudly; it is somebody else's decision."""

    class Native(Handler):
        isolation = ISOLATION.model_copy(update={"verified": False})

    with serving(Native) as (url, _):
        result = invoke(tmp_path, "--url", url)
    assert result.exit_code == 0
    assert "WARNING: that server has not shown its isolation" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--url", "sandbox:8000"), "--url: 'sandbox:8000': a grading server's URL is http://…"),
        (("--url", "http://there", "--workers", "2"), "--workers: 2: is for the local server"),
        (("--output", "/there/is/no/folder.json"), '--output: "/there/is/no/folder.json": must be a file in a folder'),
        (("--format", "humaneval"), "problems.jsonl line 1: task_id: Field required"),
        (("--timeout", "301"), "--timeout"),
        (("--profile", "lenient"), "--profile"),
    ],
)
def test_refused_before_any_server_is_started(tmp_path, monkeypatch, options, said):
    """Exit code 2 and what is allowed."""
    monkeypatch.setattr("deepcoder_cli.grade.start_local_sandbox", lambda **_: pytest.fail("a server was started"))
    result = invoke(tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.output


def test_server_that_does_not_answer_is_exit_code_1(tmp_path, monkeypatch):
    """Soon, and not after every answer's deadline."""
    monkeypatch.setattr(SandboxClient.isolation, "__kwdefaults__", {"deadline_seconds": 0.3})
    result = invoke(tmp_path, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "no isolation report within 0.3 s: http://127.0.0.1:9" in result.output


class Process:
    """A local server that has ended."""

    running = False


async def test_end_of_the_local_server_leaves_answers_ungraded():
    """They are reported so, without waiting for their deadline."""
    answers = tuple(Answer(number, "double", number, "print(1)") for number in range(3))
    inputs = Inputs(1, {"double": test_suite(problem("double"))}, answers)
    rules = Rules(limits=Limits(), profile="strict", stop_on_first_failure=True, in_flight=2, deadline_seconds=600)
    told: list[AnswerReport] = []
    begun = time.monotonic()
    async with SandboxClient("http://127.0.0.1:9") as client:
        reports = await grade_answers(client, inputs, rules, told.append, Process())  # type: ignore[arg-type]
    assert time.monotonic() - begun < 20
    assert [(one.index, one.verdict) for one in reports] == [(0, None), (1, None), (2, None)]
    assert {one.error for one in told} == {"the local grading server ended by itself"}


def test_wait_for_a_grade_grows_with_what_a_program_may_use():
    """Never less than ten minutes."""
    few = test_suite(problem())
    many = few.model_copy(update={"tests": few.tests[:1] * 300})
    assert longest_wait(Inputs(1, {"few": few}, ()), Limits()) == 600
    assert longest_wait(Inputs(1, {"few": few, "many": many}, ()), Limits()) == 60 + 4 * 6 * 300
    slow = many.model_copy(update={"timeout_seconds": 10.0})
    assert longest_wait(Inputs(1, {"few": few, "slow": slow}, ()), Limits()) == 60 + 4 * 10 * 300
