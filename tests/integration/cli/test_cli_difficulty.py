"""`deepcoder run` with problems rated by the base model: real vLLM, sandbox and bucket.

The model answers with one of two programs, each as likely. Some problems take either for right, some only the first,
some none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.trainer.step_log import events
from deepcoder_api.artifacts import DatasetReport
from deepcoder_data.dataset import load_problems, read_report
from deepcoder_data.store import ObjectStore, StoredObject
from deepcoder_trainer.orchestrator.journal import from_parquet
from deepcoder_trainer.samples import Sample
from tests.problem_builders import json_lines, problem
from tests.s3_server import S3Server
from tests.tiny_models import write_choosing_model

BUCKET = "rated"
PREFIX = f"s3://{BUCKET}/results"
PROGRAMS = ("```python\nprint(2 * int(input()))\n```", "```python\nprint(3 * int(input()))\n```")
OF_A_KIND = 24
SAMPLES = 4
RUN_SECONDS = 600.0
pytestmark = pytest.mark.timeout(1500)
ALWAYS_RIGHT = "def check(input, output, expected):\n    return True\n"


@dataclass(frozen=True)
class Rated:
    """What `deepcoder run` printed and left."""

    output: str
    code: int
    store: ObjectStore
    state: Path

    @property
    def answers(self) -> dict[str, StoredObject]:
        """The objects of answers, one a problem."""
        return {entry.uri: entry for entry in self.store.list(f"{PREFIX}/ratings")}

    @property
    def dataset(self) -> str:
        """URI of the dataset."""
        (report,) = [
            entry.uri for entry in self.store.list(f"{PREFIX}/datasets") if entry.uri.endswith("/report.json")
        ]  # fmt: skip
        return report.removesuffix("/report.json")

    @property
    def report(self) -> DatasetReport:
        """What prepare said of it."""
        found = read_report(self.store, self.dataset)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def rated(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Rated:
    """A run of one step."""
    s3.make_bucket(BUCKET)
    store, folder = s3.store(), tmp_path_factory.mktemp("rated")
    store.put_bytes(f"s3://{BUCKET}/problems.jsonl", problems())
    manifest = write_manifest(folder, write_choosing_model(folder / "model", PROGRAMS))
    command = [
        *(str(Path(sys.executable).parent / "deepcoder"), "run", str(manifest)),
        *("--endpoint", s3.endpoint, "--state", str(folder / "state")),
    ]
    done = subprocess.run(
        command, env={**os.environ, **s3.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    return Rated(done.stdout, done.returncode, store, folder / "state")


def problems() -> bytes:
    """Three kinds of problem: none of the programs is right, one is, and both are."""
    test = {"kind": "stdin", "input": "2\n", "output": "4\n"}
    made = []
    for number in range(OF_A_KIND):
        made += [
            problem(f"none-{number}", prompt=f"No program does {number}.", tests=[{**test, "output": "no\n"}]),
            problem(f"one-{number}", prompt=f"Double it {number}.", tests=[test]),
            problem(f"both-{number}", prompt=f"Print anything {number}.", tests=[test], checker=ALWAYS_RIGHT),
        ]
    return json_lines(made)


def write_manifest(folder: Path, model: Path) -> Path:
    """A run of one step over them."""
    spec: dict[str, Any] = {
        "model": {"uri": model.as_uri()},
        "data": {
            "sources": [{"name": "made", "format": "jsonl", "uri": f"s3://{BUCKET}/problems.jsonl"}],
            "maxPromptTokens": 100,
            "verifySolutions": "Never",
            "difficulty": {"samplesPerPrompt": SAMPLES, "keepAbove": 0, "keepBelow": 1},
        },
        "algorithm": {"promptsPerStep": 2, "samplesPerPrompt": 2, "sampling": {"temperature": 1.0}},
        "stages": [{"name": "only", "maxResponseTokens": 8, "steps": 1}],
        "trainer": {"gpusPerReplica": 0, "precision": "fp32", "tokensPerMicrobatch": 512},
        "rollout": {"gpusPerReplica": 0},
        "storage": {"uri": PREFIX, "secretName": "s3"},
    }
    document = {
        "apiVersion": "deepcoder.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": "rated"}, "spec": spec
    }  # fmt: skip
    file = folder / "trainingrun.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def answers_of(rated: Rated) -> dict[str, list[Sample]]:
    """All answers, by problem."""
    found = [list(from_parquet(rated.store.get_bytes(uri)).samples) for uri in rated.answers]
    return {samples[0].problem_id: samples for samples in found}


def test_the_servers_that_rated_problems_then_sample_the_run(rated: Rated) -> None:
    """To its model. Each problem is rated once, whatever kills the preparation: test_trainer_rating.py."""
    assert rated.code == 0, rated.output
    assert "rated: Succeeded, model at s3://" in rated.output
    assert len(rated.answers) == 3 * OF_A_KIND
    log = (rated.state / "runs" / "rated" / "logs" / "prepare.log").read_text()
    (counted,) = [event for event in events(log) if event["event"] == "rated"]
    assert (counted["sampled_before"], counted["sampled"]) == (0, 3 * OF_A_KIND)


def test_every_answer_is_kept_with_what_was_sampled_and_how_it_was_graded(rated: Rated) -> None:
    """Four answers a problem of a program and the end, at the temperature of training, by the base model."""
    for problem_id, samples in answers_of(rated).items():
        assert len(samples) == SAMPLES
        for one in samples:
            assert one.answer in PROGRAMS
            assert one.log_probabilities[0] == pytest.approx(-0.6931, abs=1e-3)
            assert (set(one.versions), one.finish_reason, len(one.answer_ids)) == ({0}, "stop", 2)
            right = problem_id.startswith("both") or (problem_id.startswith("one") and one.answer == PROGRAMS[0])
            assert one.reward == float(right)


def test_what_is_kept_is_what_some_answers_solve_and_some_do_not(rated: Rated) -> None:
    """In the order of the source; what is dropped is counted by reason, with its share."""
    accepted = {name: sum(one.reward for one in samples) for name, samples in answers_of(rated).items()}
    kept = [f"one-{number}" for number in range(OF_A_KIND) if 0 < accepted[f"one-{number}"] < SAMPLES]
    assert len(kept) > OF_A_KIND / 2
    assert list(load_problems(rated.store, rated.dataset)) == kept
    hard = sum(count == 0 for count in accepted.values())
    assert rated.report.dropped == {"too_hard": hard, "too_easy": 3 * OF_A_KIND - hard - len(kept)}
    assert rated.report.difficulty is not None
    assert rated.report.difficulty.problems == 3 * OF_A_KIND
    assert rated.report.difficulty.mean_pass_rate == pytest.approx(
        sum(accepted.values()) / (SAMPLES * 3 * OF_A_KIND), abs=1e-6
    )
    assert b"Difficulty of what was rated" in rated.store.get_bytes(f"{rated.dataset}/report.html")
