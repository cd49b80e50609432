"""Sources of several files, in the layouts of the data sets, from the hub by huggingface_hub itself and from S3."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource
from deepcoder_data.source_files import local_files, source_uris
from deepcoder_data.sources import read_source
from deepcoder_data.store import ObjectMissingError, ObjectStore
from tests.dataset_rows import (
    deepcoder_row,
    json_rows,
    livecodebench_function_row,
    livecodebench_row,
    mbpp_row,
    pickled_tests,
    sanitized_mbpp_row,
    synthetic_1_row,
    taco_function_row,
    taco_row,
    write_parquet,
)
from tests.hub_server import HubServer
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server
from tests.worker_process import run_worker

# huggingface_hub takes its endpoint from the environment when it is imported, so each reading is a process.
PROGRAM = """
import dataclasses, json, sys
from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource
from deepcoder_data.source_files import local_files
from deepcoder_data.sources import read_source
from deepcoder_data.store import ObjectStore, StoreError
source = DataSource.model_validate_json(sys.argv[1])
try:
    with local_files(ObjectStore(None, "us-east-1"), source.uri) as files:
        for row in read_source(source, files):
            isproblem = isinstance(row, Problem)
            print(json.dumps({"kind": type(row).__name__, "place": "" if isproblem else row.place,
                              "said": row.prompt if isproblem else row.reason, "id": row.id if isproblem else ""}))
except StoreError as error:
    print(json.dumps({"kind": type(error).__name__, "place": "", "said": str(error), "id": ""}))
"""


@dataclass(frozen=True)
class Row:
    """What a row came to: a problem's prompt and id, or the place of another and what was said of it."""

    kind: str
    place: str
    said: str
    id: str


@pytest.fixture
def read(hub: HubServer, tmp_path: Path) -> Callable[..., list[Row]]:
    """Reads a source from the hub, as a pod's process does."""

    def rows(format: str, uri: str, **more: Any) -> list[Row]:
        source = json.dumps({"name": "s", "format": format, "uri": uri, **more})
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, source],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [Row(**json.loads(line)) for line in done.stdout.splitlines()]

    return rows


def kinds(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows came to what; of those left out, by the reason."""
    return dict(Counter(row.said if row.kind == "SkippedRow" else row.kind for row in rows))


def test_taco_as_shards_of_tables(hub: HubServer, read: Callable[..., list[Row]]) -> None:
    """A broken row costs itself alone, and says in which shard it is. The test split is not read."""
    folder = hub.repository("datasets", "BAAI/TACO") / "ALL"
    rows = [taco_row(), taco_row(question="Broken.", input_output='{"inputs": ['), taco_function_row()]
    write_parquet(folder / "train-00001-of-00002.parquet", rows, rows_a_group=2)
    write_parquet(folder / "train-00000-of-00002.parquet", [taco_row(question="First.")])
    write_parquet(folder / "test-00000-of-00001.parquet", [taco_row(question="Held out.")])

    rows = read("taco", "hf://datasets/BAAI/TACO/ALL/train-*.parquet")

    assert kinds(rows) == {"Problem": 3, "BadRow": 1}
    assert "First." in rows[0].said
    (bad,) = [row for row in rows if row.kind == "BadRow"]
    assert bad.place == "train-00001-of-00002.parquet line 2"
    assert sorted(set(hub.fetched)) == [f"ALL/train-0000{index}-of-00002.parquet" for index in (0, 1)]


def test_synthetic_1_among_other_tasks(hub: HubServer, read: Callable[..., list[Row]]) -> None:
    """Answers are not read, other tasks left out; each further answer to a problem has the problem's id."""
    folder = hub.repository("datasets", "PrimeIntellect/SYNTHETIC-1") / "data"
    rows = [
        synthetic_1_row(),
        synthetic_1_row(response_id="vcp_7_1", llm_response="another answer"),
        synthetic_1_row(problem_id="vfm_1", task_type="verifiable_math", verification_info="{'ground_truth': '7'}"),
        synthetic_1_row(problem_id="vcp_8", verification_info="{'test_cases': ["),
        synthetic_1_row(problem_id="vcp_9", verification_info="{'language': 'rust', 'test_cases': []}"),
    ]
    write_parquet(folder / "train-00000-of-00001.parquet", rows, rows_a_group=2)

    rows = read("synthetic-1", "hf://datasets/PrimeIntellect/SYNTHETIC-1/data/")

    assert kinds(rows) == {"Problem": 2, "other_task": 1, "other_language": 1, "BadRow": 1}
    assert {row.id for row in rows if row.kind == "Problem"} == {"synthetic-1/vcp_7"}


def test_livecodebench_within_a_window(hub: HubServer, read: Callable[..., list[Row]]) -> None:
    """Lines of JSON, release by release; hostile private tests are a bad row."""
    folder = hub.repository("datasets", "livecodebench/code_generation_lite")
    (folder / "README.md").write_text("card")
    (folder / "code_generation_lite.py").write_text("raise SystemExit('code of a repository was run')")
    (folder / "test.jsonl").write_bytes(json_rows([livecodebench_row(), livecodebench_function_row()]))
    later = [
        livecodebench_row(question_id="abc400_a", contest_date="2025-04-05T00:00:00"),
        livecodebench_row(question_id="hostile", private_test_cases=pickled_tests("x")[:-8] + "AAAAAAAA"),
    ]
    (folder / "test5.jsonl").write_bytes(json_rows(later))

    rows = read("livecodebench", "hf://datasets/livecodebench/code_generation_lite", window={"to": "2024-07-31"})

    assert kinds(rows) == {"Problem": 2, "outside_window": 1, "BadRow": 1}
    assert "test5.jsonl line 2" in [row.place for row in rows if row.kind == "BadRow"]


def test_mbpp_and_deepcoders_own_selection(hub: HubServer, read: Callable[..., list[Row]]) -> None:
    """Full and sanitized rows may lie in one source; so may DeepCoder's parts."""
    mbpp = hub.repository("datasets", "google-research-datasets/mbpp")
    write_parquet(mbpp / "full" / "train-00000-of-00001.parquet", [mbpp_row(), mbpp_row(task_id=3, code="(")])
    write_parquet(mbpp / "sanitized" / "train-00000-of-00001.parquet", [sanitized_mbpp_row()])
    deepcoder = hub.repository("datasets", "agentica-org/DeepCoder-Preview-Dataset")
    write_parquet(deepcoder / "taco" / "train-00000-of-00001.parquet", [deepcoder_row(), deepcoder_row(tests="")])

    assert kinds(read("mbpp", "hf://datasets/google-research-datasets/mbpp/*/train-*.parquet")) == {
        "Problem": 2, "BadRow": 1,
    }  # fmt: skip
    assert kinds(read("deepcoder", "hf://datasets/agentica-org/DeepCoder-Preview-Dataset/taco")) == {
        "Problem": 1, "BadRow": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.parquet", "there is no such file"),
        ("data/none-*.parquet", "there is no such file"),
        ("none/", "there is no such file"),
        ("", "the folder has no .jsonl, .jsonl.gz, .parquet files, only README.md"),
    ],
)
def test_what_the_repository_does_not_have_is_named(
    hub: HubServer, read: Callable[..., list[Row]], path: str, said: str
) -> None:
    """With the URI as it was given."""
    folder = hub.repository("datasets", "org/name")
    (folder / "README.md").write_text("card")
    write_parquet(folder / "data" / "train.parquet", [taco_row()])

    (row,) = read("taco", f"hf://datasets/org/name/{path}")

    assert row.kind == "ObjectMissingError"
    assert row.said.startswith("hf://datasets/org/name")
    assert said in row.said


def test_a_folder_in_s3_is_its_files(store: ObjectStore, folder: str) -> None:
    """And a prefix that another name begins with is not it."""
    for name, row in {"b.jsonl": taco_row(question="B"), "sub/c.jsonl": taco_row(question="C")}.items():
        store.put_bytes(f"{folder}/taco/{name}", json_rows([row]))
    store.put_bytes(f"{folder}/taco/a.jsonl.gz", gzip.compress(json_rows([taco_row(question="A")])))
    store.put_bytes(f"{folder}/taco-other/d.jsonl", json_rows([taco_row(question="D")]))

    assert source_uris(store, f"{folder}/taco") == [f"{folder}/taco/a.jsonl.gz", f"{folder}/taco/b.jsonl"]
    assert source_uris(store, f"{folder}/taco*/*.jsonl") == [f"{folder}/taco-other/d.jsonl", f"{folder}/taco/b.jsonl"]
    with local_files(store, f"{folder}/taco/") as files:
        rows = list(read_source(DataSource(name="s", format="taco", uri=f"{folder}/taco/"), files))
    assert [row.prompt.split("### ")[1] for row in rows if isinstance(row, Problem)] == [
        "Question:\nA\n\n",
        "Question:\nB\n\n",
    ]
    with pytest.raises(ObjectMissingError, match="there is no such file or folder"):
        source_uris(store, f"{folder}/tac")


def test_the_preflight_of_a_run_sees_a_folder_on_the_hub(
    hub: HubServer, s3: S3Server, folder: str, tmp_path: Path, model_folder: Path
) -> None:
    """No file of it is fetched; a name that no file has is a permanent fault of the field."""
    write_parquet(hub.repository("datasets", "org/name") / "data" / "train-0.parquet", [taco_row()])

    def preflight(uri: str) -> Any:
        sources = [{"name": "taco", "format": "taco", "uri": uri}]
        run = resolved_run(
            model={"uri": model_folder.as_uri()},
            data={"sources": sources},
            storage={"uri": folder, "endpoint": s3.endpoint},
        )
        environment = {"HF_ENDPOINT": hub.endpoint, **s3.environment}
        return run_worker("deepcoder_trainer.preflight", run, tmp_path / "run", environment=environment)

    checked = preflight("hf://datasets/org/name/data")
    assert checked.code == 0, checked.message
    assert hub.fetched == []

    missing = preflight("hf://datasets/org/name/data/test-*.parquet")
    assert (missing.code, missing.message.reason) == (64, "DataNotFound")
    assert missing.message.cause.startswith(
        'spec.data.sources[taco].uri: "hf://datasets/org/name/data/test-*.parquet": there is no such file'
    )
