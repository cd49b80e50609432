"""`deepcoder samples` reads what a run has written to S3."""

from __future__ import annotations

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.grading import Verdict
from deepcoder_cli.main import app
from deepcoder_trainer.orchestrator.journal import Journal
from tests.orchestrator_builders import sample
from tests.s3_server import S3Server

LONG = "\n".join(f"thought {number}" for number in range(100)) + "\n```python\nprint([bold]2[/bold])\n```"


class Run:
    """A run whose steps 1 and 2 have samples in a bucket."""

    def __init__(self, s3: S3Server, bucket: str) -> None:
        self.s3 = s3
        self.paths = RunPaths(f"s3://{bucket}/prefix", "default", "tiny", "0123456789abcdef")

    async def write(self) -> None:
        journal = Journal(self.s3.store(), self.paths)
        wrong = {"verdict": Verdict.WRONG_ANSWER, "reward": 0.0, "test_verdicts": (Verdict.WRONG_ANSWER,)}
        await journal.write_samples(1, [sample(problem_id="first", answer=LONG)])
        second = [
            sample(problem_id="b", answer=LONG),
            sample(problem_id="b", **wrong),
            sample(problem_id="c", finish_reason="length", versions=(3, 4, 4), **wrong),
        ]
        await journal.write_samples(2, second)

    def read(self, *arguments: str) -> Result:
        command = ["samples", self.paths.root, "--endpoint", self.s3.endpoint, *arguments]
        return CliRunner().invoke(app, command, env={**self.s3.environment, "COLUMNS": "160"})


@pytest.fixture
async def run(s3: S3Server, bucket: str) -> Run:
    made = Run(s3, bucket)
    await made.write()
    return made


async def test_last_step_is_shown_with_its_verdicts_and_the_end_of_long_answers(run: Run) -> None:
    """A line a verdict, then whole answers, whose text is never taken for markup."""
    shown = run.read().stdout
    assert "step 2: 3 answers to 2 problems" in shown
    assert [line.split()[1:3] for line in shown.splitlines() if line.startswith("│ ")] == [
        ["wrong_answer", "│"],
        ["accepted", "│"],
    ]
    assert "accepted · reward 1 · 3 tokens, stop · weights 4 · tests 2 accepted" in shown
    assert "wrong_answer · reward 0 · 3 tokens, length · weights 3, 4 · tests 1 wrong_answer" in shown
    assert "print([bold]2[/bold])" in shown
    assert "… 73 lines before" in shown
    assert "thought 72" not in shown


async def test_answers_are_chosen_by_verdict_problem_and_number(run: Run) -> None:
    """What is left out is counted."""
    shown = run.read("--verdict", "wrong_answer", "--limit", "1").stdout
    assert shown.count("· reward") == 1
    assert "1 more of 3" in shown
    assert run.read("--problem", "c").stdout.count("· reward") == 1
    assert "thought 0" in run.read("--step", "1", "--full").stdout


async def test_what_is_not_there_is_said(run: Run) -> None:
    """A step without samples, and a key that may not read: what to do, and exit code 2."""
    missing = run.read("--step", "7")
    assert missing.exit_code == 2
    assert "step-000007.parquet: there is no such object" in missing.stdout
    run.s3 = S3Server("http://127.0.0.1:1")
    away = run.read()
    assert away.exit_code == 2
    assert "--endpoint" in away.stdout
