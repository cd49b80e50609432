"""`deepcoder run` end to end: the quickstart, smaller, as local processes over a real S3 server, sandbox and vLLM.

The trainer is killed in mid-run, so that one start of everything also shows how a run is taken up again.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from transformers import GenerationConfig

from benchmarks.trainer.step_log import events, steps_of
from deepcoder_api.artifacts import SAMPLE_COLUMNS, Head, ValidationResult
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.yaml_text import load_documents
from deepcoder_data.folders import download_folder, read_completion
from deepcoder_data.store import ObjectStore
from tests.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[3]
QUICKSTART = ROOT / "examples" / "quickstart"
BUCKET = "local-run"
BASE = f"s3://{BUCKET}/base-0"
PREFIX = f"s3://{BUCKET}/results"
KILLED_AFTER = 3
RUN_SECONDS = 840.0
pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class LocalRun:
    """What a `deepcoder run` printed, its exit code, and what it left on disk and in the store."""

    output: str
    code: int
    state: Path
    store: ObjectStore
    left_over: list[str]

    @property
    def root(self) -> str:
        """The run's folder in the store."""
        identity = json.loads((self.state / "runs" / "quickstart" / "identity.json").read_text())
        return f"{PREFIX}/runs/local/quickstart/{identity['uid'][:8]}"

    @property
    def trainer_events(self) -> list[dict[str, Any]]:
        """What the trainer's processes logged, over both attempts."""
        return events((self.state / "runs" / "quickstart" / "logs" / "trainer.log").read_text())


@pytest.fixture(scope="module")
def base_model(s3: S3Server) -> str:
    """A base model of very few steps in the store."""
    s3.make_bucket(BUCKET)
    command = [sys.executable, str(QUICKSTART / "make_base_model.py"), "--steps", "60", "--uri", BASE]
    made = subprocess.run(
        [*command, "--endpoint", s3.endpoint],
        env={**os.environ, **s3.environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "step 60 of 60" in made.stdout
    return BASE


@pytest.fixture(scope="module")
def local_run(base_model: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> LocalRun:
    """The run, killed once, and the evaluation of what it made."""
    folder = tmp_path_factory.mktemp("local-run")
    write_manifests(folder / "files")
    command = [str(Path(sys.executable).parent / "deepcoder"), "run", str(folder / "files")]
    with subprocess.Popen(
        [*command, "--endpoint", s3.endpoint, "--state", str(folder / "state")],
        env={**os.environ, **s3.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        killing = threading.Thread(
            target=kill_trainer, args=(process, folder / "state" / "runs" / "quickstart" / "logs" / "trainer.log")
        )
        killing.start()
        try:
            output, _ = process.communicate(timeout=RUN_SECONDS)
            code = process.returncode
        finally:
            process.terminate()
            killing.join()
    return LocalRun(output, code, folder / "state", s3.store(), running(str(folder)))


def kill_trainer(process: subprocess.Popen[str], log: Path) -> None:
    """Once it has done some steps after its checkpoint. By its own log: `deepcoder run` may not look at each step."""
    while process.poll() is None and max(done_steps(log), default=0) < KILLED_AFTER:
        time.sleep(0.05)
    if process.poll() is None:
        os.kill(trainer_of(process.pid), signal.SIGKILL)


def done_steps(log: Path) -> list[int]:
    """The steps that a trainer's log says are done."""
    return [step.number for step in steps_of(log.read_text())] if log.exists() else []


def trainer_of(parent: int) -> int:
    """The trainer's own process, a child of `deepcoder run`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (trainer,) = [pid for pid in children if b"deepcoder_trainer.launch" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return int(trainer)


def running(name: str) -> list[str]:
    """Command lines of processes that name a folder."""
    found = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.parent.name != str(os.getpid())]
    return [line.decode().replace("\0", " ") for line in found if name.encode() in line]


def write_manifests(folder: Path) -> None:
    """The quickstart's run and its second evaluation with few steps, few samples and names of this test's store.

    Sampling goes a step ahead of training here; tests/e2e has them take turns.
    """
    folder.mkdir()
    for name in ("20-trainingrun.yaml", "30-evaluation-after.yaml"):
        (document,) = load_documents((QUICKSTART / name).read_text().replace("s3://deepcoder/quickstart/base-0", BASE))
        document["spec"]["storage"]["uri"] = PREFIX
        if document["kind"] == "TrainingRun":
            document["spec"]["algorithm"] |= {"promptsPerStep": 4, "samplesPerPrompt": 4, "maxStaleness": 1}
            for stage, steps in zip(document["spec"]["stages"], (2, 4), strict=True):
                stage["steps"] = steps
            document["spec"]["checkpoint"] = {"everySteps": 2, "keepLast": 2, "keepBest": 1}
            held_out = {"name": "held-out", "format": "jsonl", "uri": f"{BASE}/held-out.jsonl", "similarity": 1.0}
            document["spec"]["validation"] = {"everySteps": 2, "sources": [held_out]}
        (folder / name).write_text(yaml.safe_dump(document))


def test_run_succeeds_and_says_so(local_run: LocalRun) -> None:
    """Exit code 0; phases, steps, model and score are printed. The last step may end between two looks at it."""
    assert local_run.code == 0, local_run.output
    for said in ("512 problems kept of 512", "attempt 1", "/6 (long)"):
        assert said in local_run.output
    assert f"quickstart: Succeeded, model at {local_run.root}/checkpoints/step-000006/model" in local_run.output
    assert "quickstart-after: held-out: pass@1 " in local_run.output
    assert "over 128 problems" in local_run.output


def test_nothing_is_left_running(local_run: LocalRun) -> None:
    """Every process that was started has ended."""
    assert local_run.left_over == []


def test_last_checkpoint_is_whole_and_holds_a_model(local_run: LocalRun) -> None:
    """complete.json names model, tokenizer, card and state; the newest two checkpoints are kept, and the best."""
    completion = read_completion(local_run.store, f"{local_run.root}/checkpoints/step-000006")
    assert completion is not None
    names = {file.path for file in completion.files}
    beside = {"model/config.json", "model/tokenizer.json", "model/generation_config.json", "model/README.md"}
    assert beside | {"state.json"} <= names
    assert any(name.startswith("model/") and name.endswith(".safetensors") for name in names)
    assert any(name.startswith("state/") and name.endswith(".safetensors") for name in names)
    steps = {entry.uri.split("/")[-2] for entry in local_run.store.list(f"{local_run.root}/checkpoints")
             if entry.uri.endswith("complete.json")}  # fmt: skip
    scores = {result.step: result.pass_at_1 for result in validations(local_run)}
    best = min(scores, key=lambda step: (-scores[step], step))
    assert steps == {"step-000004", "step-000006", f"step-{best:06d}"}


def validations(local_run: LocalRun) -> list[ValidationResult]:
    """The results in the store, in the order of the steps."""
    uris = [entry.uri for entry in local_run.store.list(f"{local_run.root}/validation")]
    contents = [local_run.store.get_bytes(uri) for uri in sorted(uris) if uri.endswith(".json")]
    return [ValidationResult.model_validate_json(content) for content in contents]


def test_held_out_problems_are_asked_of_the_weights_of_their_step_alone(local_run: LocalRun) -> None:
    """All 128, after steps 2, 4 and 6, though sampling goes a step ahead, weights change and the trainer was killed."""
    results = validations(local_run)
    assert [(result.step, result.problems, result.samples) for result in results] == [(n, 128, 128) for n in (2, 4, 6)]
    for result in results:
        content = local_run.store.get_bytes(f"{local_run.root}/validation/step-{result.step:06d}.parquet")
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
        assert {version for row in rows for version in row["versions"]} == {result.step}
        assert result.pass_at_1 == sum(row["reward"] for row in rows) / 128
        assert "internal_error" not in result.verdicts


def test_the_model_is_sampled_as_it_was_trained_unless_told_otherwise(local_run: LocalRun, tmp_path: Path) -> None:
    """transformers takes the folder's generation_config.json; vLLM has served the folder for the evaluation."""
    download_folder(local_run.store, f"{local_run.root}/checkpoints/step-000006", tmp_path, under="model/")
    config = GenerationConfig.from_pretrained(tmp_path)
    base = json.loads((tmp_path / "config.json").read_text())
    assert (config.do_sample, config.temperature, config.eos_token_id) == (True, 1.0, base["eos_token_id"])


def test_killed_trainer_is_taken_up_from_its_checkpoint(local_run: LocalRun) -> None:
    """Attempt 2 starts from the last checkpoint and replays the journal: no step is sampled twice."""
    head = Head.model_validate_json(local_run.store.get_bytes(f"{local_run.root}/head.json"))
    assert (head.attempt, head.step) == (2, 6)
    assert "attempt 1 failed and starts again: trainer failed: exit code -9" in local_run.output
    events = local_run.trainer_events
    taken_up = [event for event in events if event["event"] == "taking up"]
    first, second = (event["step"] for event in taken_up)
    assert (first, second) in {(0, 2), (0, 4)}  # step 4 may be done, and kept, by the time that the kill comes
    replayed = {event["step"] for event in events if event["event"] == "replaying"}
    assert replayed == set(range(second + 1, second + 1 + taken_up[1]["replay"]))
    assert second == 4 or 3 in replayed


def test_samples_of_every_step_are_in_the_store(local_run: LocalRun) -> None:
    """16 answers a step, each with text, token ids, log-probabilities and verdicts; every prompt in one step alone.

    An answer is begun by the weights that its step trains, or by those before, and may be ended by newer ones.
    """
    drawn: list[tuple[str, int]] = []
    staleness: set[int] = set()
    for step in range(1, 7):
        content = local_run.store.get_bytes(f"{local_run.root}/samples/step-{step:06d}.parquet")
        table = pq.read_table(io.BytesIO(content))
        assert table.num_rows == 16
        assert set(SAMPLE_COLUMNS) <= set(table.column_names)
        limit = 46 if step == 1 else 64
        for row in table.to_pylist():
            assert len(row["answer_ids"]) == len(row["log_probabilities"]) == len(row["versions"]) <= limit
            assert row["versions"] == sorted(row["versions"])
            assert row["versions"][-1] < step
            assert row["verdict"] != "internal_error"
            staleness.add(step - 1 - row["versions"][0])
        drawn += {(row["problem"], row["epoch"]) for row in table.to_pylist()}
    assert len(drawn) == len(set(drawn)) == 24
    assert staleness == {0, 1}


def test_report_measures_what_the_run_made(local_run: LocalRun) -> None:
    """The report names the checkpoint's model and every verdict; samples.parquet has a row for each problem."""
    (uri,) = [text.split()[-1] for text in local_run.output.splitlines() if "report at" in text]
    report = EvaluationReport.model_validate_json(local_run.store.get_bytes(uri))
    assert report.model.uri == f"{local_run.root}/checkpoints/step-000006/model"
    (benchmark,) = report.benchmarks
    assert (benchmark.problems, sum(benchmark.verdicts.values())) == (128, 128)
    assert benchmark.pass_at_1 == benchmark.verdicts.get("accepted", 0) / 128
    samples = pq.read_table(io.BytesIO(local_run.store.get_bytes(uri.replace("report.json", "samples.parquet"))))
    assert samples.num_rows == 128
