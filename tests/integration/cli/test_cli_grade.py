"""`deepcoder grade` with real programs in a real sandbox under runsc: from the command line to the report."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.problems import Problem
from deepcoder_data.readers import read_file
from deepcoder_sandbox.local import find_runsc, start_local_sandbox
from tests.problem_builders import json_lines, problem

COMMAND = str(Path(sys.executable).parent / "deepcoder")
HUMAN_EVAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "HumanEval.jsonl.gz"
RIGHT = "print(2 * int(input()))"
PROGRAMS = {
    "accepted": RIGHT,
    "wrong_answer": "print(4)",
    "time_limit": "while True: pass",
    "runtime_error": "raise ValueError('on purpose')",
    "memory_limit": "x = bytearray(1 << 30)\nprint(len(x))",
}


@pytest.fixture(scope="module", autouse=True)
def _runsc() -> None:
    if find_runsc() is None or os.geteuid() != 0:
        pytest.skip("runsc is neither in build/bin nor in PATH, or we are not root")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """One problem, and an answer for each verdict."""
    (tmp_path / "problems.jsonl").write_bytes(json_lines([problem("double")]))
    rows: list[dict[str, Any]] = [{"problem": "double", "program": program} for program in PROGRAMS.values()]
    rows.append({"problem": "double", "answer": f"<think>hm</think>\n```python\n{RIGHT}\n```"})
    rows.append({"problem": "double", "answer": "I do not know"})
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--problems", str(tmp_path / "problems.jsonl"), "--answers", str(tmp_path / "answers.jsonl")]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder for the command alone, with a name that leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="grade-") as folder:
        yield Path(folder)


def grade(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    environment = {**os.environ, "COLUMNS": "120", **variables}
    return subprocess.run(
        [COMMAND, "grade", *options], capture_output=True, text=True, timeout=240, env=environment, check=False
    )


def test_every_verdict_is_in_the_report(files, tmp_path, temporary):
    """A local server is started in gVisor, and nothing is left of it."""
    output = tmp_path / "report.json"
    done = grade(*files, "--output", str(output), "--timeout", "3", "--memory", "128", TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert [one["verdict"] for one in report["results"]] == [*PROGRAMS, "accepted", "no_program"]
    assert report["conditions"]["isolated"] is True
    assert report["pass_at_1"] == pytest.approx(2 / 7)
    wrong, error = report["results"][1], report["results"][3]
    assert [test["verdict"] for test in wrong["tests"]] == ["accepted", "wrong_answer"]
    assert wrong["wall_seconds"] > 0
    assert wrong["memory_mib"] > 1
    assert "ValueError: on purpose" in error["detail"]
    assert "gVisor, isolation verified from inside" in done.stdout
    assert "pass@1 0.2857 over 1 problems, 7 answers" in done.stdout
    assert list(temporary.iterdir()) == []
    assert str(temporary) not in Path("/proc/mounts").read_text()


def test_all_tests_are_run_when_asked_for_and_a_server_may_be_given(files, tmp_path):
    """The same from a server that is there already."""
    output = tmp_path / "report.json"
    with start_local_sandbox(workers=2) as sandbox:
        done = grade(*files, "--output", str(output), "--timeout", "3", "--all-tests", "--url", sandbox.url)
    assert done.returncode == 0, done.stdout + done.stderr
    error = json.loads(output.read_text())["results"][3]
    assert [test["verdict"] for test in error["tests"]] == ["runtime_error"] * 2


def test_terminal_sees_a_bar(files):
    """And the summary in place of it once it is done."""
    reader, writer = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "grade", *files, "--timeout", "3"], stdout=writer, stderr=writer, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(writer)
        seen = read_to_end(reader)
        assert process.wait(60) == 0
    assert "━" in seen
    assert "7/7" in seen
    assert "pass@1" in seen.splitlines()[-3]


def read_to_end(descriptor: int) -> str:
    """All that is written to a terminal."""
    seen = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other end of a terminal is closed
            chunk = b""
        if not chunk:
            return seen.decode()
        seen += chunk


@pytest.mark.shared_data
def test_human_eval_is_graded_as_published(tmp_path):
    """Some of its own solutions, as a model would give them."""
    if not HUMAN_EVAL.exists():
        pytest.skip("the shared data folder is not beside the clone")
    rows = [row for row in read_file(HUMAN_EVAL, "HumanEval", "humaneval") if isinstance(row, Problem)][:12]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(
        json.dumps({"problem": row.id, "answer": f"```python\n{row.solution}\n```"}) + "\n" for row in rows
    ))  # fmt: skip
    done = grade("--problems", str(HUMAN_EVAL), "--format", "humaneval", "--answers", str(answers))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass@1 1 over 12 problems, 152 have no answer" in done.stdout
