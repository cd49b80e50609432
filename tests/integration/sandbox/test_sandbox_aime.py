"""AIME through the whole way: rows, an endpoint, math-verify on a real grading server, the report."""

from __future__ import annotations

import json
from pathlib import Path

from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.evaluator import evaluate
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.progress import Count
from deepcoder_sandbox.local import LocalSandbox
from tests.unit.evaluation.evaluation_builders import evaluation_job
from tests.unit.evaluation.evaluation_world import World

STORE = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")
ANSWERS = {
    "padded": ("073", r"<think>\boxed{1}</think>It is $\boxed{73}$.", "accepted"),
    "as a sum": ("25", r"\boxed{20 + 5}", "accepted"),
    "with its name": ("699", r"\boxed{n = 699}", "accepted"),
    "another value": ("104", r"\boxed{105}", "wrong_answer"),
    "without a box": ("540", "The answer is 540.", "no_program"),
    "in mid-thinking": ("197", r"<think>Say \boxed{197}", "no_program"),
}


async def test_answers_are_scored_by_the_value_in_their_last_box(server: LocalSandbox, tmp_path: Path) -> None:
    """Equal values however they are written; three of six, in each of two repeats."""
    rows = [{"ID": f"2024-I-{n}", "Problem": name, "Answer": said[0]} for n, (name, said) in enumerate(ANSWERS.items())]
    (tmp_path / "aime.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = {"name": "aime", "kind": "aime", "uri": (tmp_path / "aime.jsonl").as_uri(), "repeats": 2}
    job = evaluation_job(benchmarks=[benchmark])
    world = World(answer=lambda prompt: ANSWERS[prompt.partition(" Let's think")[0]][1])
    async with world.serving() as engines:
        report = await evaluate(job, STORE, LocalFolder(tmp_path / "results"), engines, server.url, Count())
    (score,) = report.benchmarks[0].scores
    assert (score.pass_at_1, score.repeats) == (0.5, (0.5, 0.5))
    assert score.verdicts == {"accepted": 6, "no_program": 4, "wrong_answer": 2}
    assert report.benchmarks[0].extraction == "last-boxed"
