"""Models and data sets from a server that speaks the hub's protocol, by huggingface_hub itself, as a pod's process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hub_server import TOKEN, HubServer
from tests.model_folders import contents, write_model_folder
from tests.problem_builders import json_lines, problem, write
from tests.resolved_evaluations import resolved_evaluation
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server
from tests.worker_process import Ended, run_worker

MODEL = "hf://organisation/tiny"


@pytest.fixture
def repository(hub: HubServer, model_folder: Path) -> Path:
    """A model's repository, with what must not be fetched beside it."""
    folder = hub.repository("models", "organisation/tiny")
    shutil.copytree(model_folder, folder, dirs_exist_ok=True)
    (folder / "modeling_evil.py").write_text("raise SystemExit('code of a repository was run')")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    return folder


def fetch(hub: HubServer, tmp_path: Path, *arguments: str, uri: str = MODEL, **environment: str) -> Ended:
    """Fetch a model by the process that a pod starts."""
    given = ("--uri", uri, "--to", str(tmp_path / "to"), *arguments)
    return run_worker(
        "deepcoder_data.fetch_model", resolved_run(model={"uri": uri}), tmp_path / "fetch", *given,
        environment={"HF_ENDPOINT": hub.endpoint, **environment},
    )  # fmt: skip


@pytest.mark.usefixtures("repository")
def test_a_model_comes_without_code_pickles_and_subfolders(hub: HubServer, model_folder: Path, tmp_path: Path) -> None:
    """And what is there is not fetched again."""
    first = fetch(hub, tmp_path)
    assert (first.code, first.message.reason) == (0, "Fetched"), first.log
    assert contents(tmp_path / "to") == contents(model_folder)
    assert sorted(hub.fetched) == sorted(contents(model_folder))

    hub.fetched.clear()
    assert fetch(hub, tmp_path).code == 0
    assert hub.fetched == []


def test_a_changed_file_is_fetched_again(hub: HubServer, repository: Path, tmp_path: Path) -> None:
    """A branch moves on."""
    assert fetch(hub, tmp_path).code == 0
    hub.fetched.clear()
    (repository / "model.safetensors").write_bytes(b"changed")

    assert fetch(hub, tmp_path).code == 0
    assert (tmp_path / "to" / "model.safetensors").read_bytes() == b"changed"
    assert hub.fetched == ["model.safetensors"]


@pytest.mark.usefixtures("repository")
def test_a_private_model_needs_the_token(hub: HubServer, tmp_path: Path) -> None:
    """Without it the hub does not even say that there is such a repository, and the message says so."""
    hub.private.add("organisation/tiny")

    refused = fetch(hub, tmp_path)
    assert (refused.code, refused.message.reason) == (64, "ModelNotFound")
    assert refused.message.cause.startswith(f'spec.model.uri: "{MODEL}": the hub has no such repository, or HF_TOKEN')
    assert fetch(hub, tmp_path, HF_TOKEN=TOKEN).code == 0


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("uri", "arguments", "said"),
    [
        ("hf://organisation/none", (), "no such repository"),
        (MODEL, ("--revision", "v9"), "no such revision"),
        (f"{MODEL}/onnx", (), "a whole repository"),
        ("hf://tiny", (), "must be 'namespace/name'"),
    ],
)
def test_what_the_hub_does_not_have_is_named(
    hub: HubServer, tmp_path: Path, uri: str, arguments: tuple[str, ...], said: str
) -> None:
    """Permanent, with the field."""
    ended = fetch(hub, tmp_path, *arguments, uri=uri)

    assert (ended.code, ended.message.reason) == (64, "ModelNotFound")
    assert ended.message.cause.startswith(f'spec.model.uri: "{uri}": ')
    assert said in ended.message.cause


def test_a_repository_without_weights_is_no_model(hub: HubServer, repository: Path, tmp_path: Path) -> None:
    """It is said what is missing."""
    (repository / "model.safetensors").unlink()

    assert fetch(hub, tmp_path).message.cause == f'spec.model.uri: "{MODEL}": there is no model (no *.safetensors)'


@pytest.mark.usefixtures("repository")
def test_a_hub_that_is_down_may_come_back(hub: HubServer, tmp_path: Path) -> None:
    """Both a server in trouble and one that is not there: another try may help."""
    hub.down = True
    ended = fetch(hub, tmp_path)
    assert (ended.code, ended.message.reason) == (75, "HubUnavailable"), ended.log

    ended = fetch(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:1")
    assert (ended.code, ended.message.reason) == (75, "HubUnavailable"), ended.log


def test_the_preflight_of_an_evaluation_sees_a_model_and_a_benchmark_on_the_hub(
    hub: HubServer, s3: S3Server, folder: str, tmp_path: Path
) -> None:
    """The model without its weights, the benchmark row by row; a file that is not there is named."""
    write_model_folder(hub.repository("models", "organisation/tiny"), shards=2)
    write(
        hub.repository("datasets", "organisation/held-out") / "test.jsonl.gz", json_lines([problem()]), compressed=True
    )

    def preflight(uri: str) -> Ended:
        evaluation = resolved_evaluation(
            MODEL,
            benchmarks=[{"name": "held-out", "kind": "jsonl", "uri": uri}],
            storage={"uri": folder, "endpoint": s3.endpoint},
        )
        environment = {"HF_ENDPOINT": hub.endpoint, **s3.environment}
        return run_worker("deepcoder_evaluation.preflight", evaluation, tmp_path / "eval", environment=environment)

    checked = preflight("hf://datasets/organisation/held-out/test.jsonl.gz")
    assert checked.code == 0, checked.message
    assert checked.message.cause == "the model, the bucket and 1 problems of 1 benchmark(s) are there"
    assert sorted(set(hub.fetched)) == ["model.safetensors.index.json", "test.jsonl.gz"]

    missing = preflight("hf://datasets/organisation/held-out/none.jsonl")
    assert (missing.code, missing.message.reason) == (64, "DataNotFound")
    assert missing.message.cause.startswith(
        'spec.benchmarks[held-out].uri: "hf://datasets/organisation/held-out/none.jsonl": there is no such file'
    )
