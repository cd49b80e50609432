"""A model from a bucket, a claim or a local folder into a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deepcoder_data.fetch_model import fetch_model, fetch_tokenizer
from deepcoder_data.folders import DamagedError, commit_folder
from deepcoder_data.models import model_digest
from deepcoder_data.store import ObjectMissingError, ObjectStore
from tests.model_folders import contents, write_model_folder
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server
from tests.worker_process import run_worker


def upload(store: ObjectStore, local: Path, uri: str) -> str:
    """Every file of a folder, without a marker, as another tool leaves them."""
    for name, content in contents(local).items():
        store.put_bytes(f"{uri}/{name}", content)
    return uri


def checkpoint(store: ObjectStore, folder: str, model: Path, tmp_path: Path) -> str:
    """A committed checkpoint as a run writes them; returns its URI."""
    local = tmp_path / "checkpoint"
    shutil.copytree(model, local / "model")
    (local / "state").mkdir()
    (local / "state" / "rank-0.safetensors").write_bytes(b"optimizer")
    uri = f"{folder}/runs/default/tiny/01234567/checkpoints/step-000010"
    commit_folder(store, local, uri)
    return uri


def test_a_folder_without_a_marker_is_fetched_as_it_is(
    store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path
) -> None:
    """Whoever uploaded it with another tool; a slash at the URI's end does no harm."""
    uri = upload(store, model_folder, f"{folder}/base")

    fetch_model(store, f"{uri}/", tmp_path / "to")

    assert contents(tmp_path / "to") == contents(model_folder)


def test_what_is_there_stays_and_what_changed_is_fetched_again(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """Also where the new file is as long as the old one; a file that is gone goes."""
    model, to = write_model_folder(tmp_path / "model", shards=2), tmp_path / "to"
    uri = upload(store, model, f"{folder}/base")
    store.put_bytes(f"{uri}/added_tokens.json", b"{}")
    fetch_model(store, uri, to)
    before = {name: (to / name).stat().st_ino for name in contents(to)}

    changed = "model-00002-of-00002.safetensors"
    store.put_bytes(f"{uri}/{changed}", b"WEIGHTS")
    store.delete(f"{uri}/added_tokens.json")
    fetch_model(store, uri, to)

    assert contents(to) == {**contents(model), changed: b"WEIGHTS"}
    kept = {name: (to / name).stat().st_ino for name in contents(model) if name != changed}
    assert kept == {name: before[name] for name in kept}, "no other file was written again"


def test_the_model_of_a_checkpoint_is_fetched_by_the_checkpoints_marker(
    store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path
) -> None:
    """Its optimizer state stays in the bucket, and every file is checked."""
    uri = checkpoint(store, folder, model_folder, tmp_path)

    fetch_model(store, f"{uri}/model", tmp_path / "to")

    assert contents(tmp_path / "to") == contents(model_folder)


def test_a_damaged_checkpoint_is_no_model(store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path) -> None:
    """A byte that is not what the marker says."""
    uri = checkpoint(store, folder, model_folder, tmp_path)
    store.put_bytes(f"{uri}/model/model.safetensors", b"wEights")

    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        fetch_model(store, f"{uri}/model", tmp_path / "to")


def test_a_checkpoint_that_was_never_completed_is_no_model(
    store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path
) -> None:
    """Its files may all be there and still be half of two attempts."""
    uri = checkpoint(store, folder, model_folder, tmp_path)
    store.delete(f"{uri}/complete.json")

    with pytest.raises(ObjectMissingError, match="is not complete"):
        fetch_model(store, f"{uri}/model", tmp_path / "to")


def test_another_model_leaves_nothing_of_the_one_before(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """A folder that is used again, as by `deepcoder run`, never mixes two models; files of others stay."""
    first = upload(store, write_model_folder(tmp_path / "first", shards=3), f"{folder}/first")
    second = upload(store, write_model_folder(tmp_path / "second", weights=b"other"), f"{folder}/second")
    to = tmp_path / "to"
    fetch_model(store, first, to)
    (to / "notes.txt").write_text("not ours")

    fetch_model(store, second, to)

    assert contents(to) == {**contents(tmp_path / "second"), "notes.txt": b"not ours"}


def test_a_claim_is_linked_and_left_alone(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """Nothing is copied; a model from elsewhere replaces the links, never what they lead to."""
    claim, to = tmp_path / "claim", tmp_path / "to"
    model = write_model_folder(claim / "models" / "tiny")
    before = contents(model)

    fetch_model(store, "pvc://name/models/tiny", to, claim=claim)
    assert contents(to) == before
    assert (to / "model.safetensors").is_symlink()

    other = write_model_folder(tmp_path / "other", weights=b"other")
    fetch_model(store, upload(store, other, f"{folder}/other"), to)
    assert contents(to) == contents(other)
    assert contents(model) == before


def test_a_local_folder_is_a_model_too(store: ObjectStore, model_folder: Path, tmp_path: Path) -> None:
    """For local runs."""
    fetch_model(store, model_folder.as_uri(), tmp_path / "to")

    assert contents(tmp_path / "to") == contents(model_folder)


@pytest.mark.parametrize("uri", ["{folder}/none", "file:///none/there", "pvc://name/none"])
def test_where_no_model_is_none_is_fetched(store: ObjectStore, folder: str, tmp_path: Path, uri: str) -> None:
    """The error names the URI."""
    given = uri.format(folder=folder)
    with pytest.raises(ObjectMissingError, match=given):
        fetch_model(store, given, tmp_path / "to", claim=tmp_path)


def test_a_tokenizer_comes_without_weights(store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path) -> None:
    """From a bucket and from a folder, the same files."""
    uri = upload(store, model_folder, f"{folder}/base")

    fetch_tokenizer(store, uri, tmp_path / "stored")
    fetch_tokenizer(store, model_folder.as_uri(), tmp_path / "local")

    assert contents(tmp_path / "stored") == contents(tmp_path / "local")
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= contents(tmp_path / "local").keys()
    assert "model.safetensors" not in contents(tmp_path / "local")


def test_a_digest_tells_models_apart(store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path) -> None:
    """The same files in two checkpoints have one digest; one other byte has another."""
    uri = f"{checkpoint(store, folder, model_folder, tmp_path)}/model"
    base = upload(store, model_folder, f"{folder}/base")
    of_checkpoint, of_base = model_digest(store, uri), model_digest(store, base)

    assert of_checkpoint is not None
    assert of_checkpoint.startswith("sha256:")
    assert of_base is not None
    assert of_base.startswith("etags:")
    assert model_digest(store, base) == of_base
    store.put_bytes(f"{base}/model.safetensors", b"wEights")
    assert model_digest(store, base) not in (None, of_base)
    assert model_digest(store, f"{folder}/none") is None
    assert model_digest(store, model_folder.as_uri()) is None


def test_the_process_fetches_with_the_storage_of_its_configuration(
    s3: S3Server, store: ObjectStore, folder: str, model_folder: Path, tmp_path: Path
) -> None:
    """Endpoint from the configuration, key from the environment; a wrong key ends it for good, saying which Secret."""
    uri = upload(store, model_folder, f"{folder}/base")
    storage = {"uri": folder, "endpoint": s3.endpoint, "secretName": "s3-credentials"}
    run = resolved_run(model={"uri": uri}, storage=storage)
    arguments = ("--uri", uri, "--to", str(tmp_path / "to"))

    refused = run_worker(
        "deepcoder_data.fetch_model", run, tmp_path / "refused", *arguments,
        environment={**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong"},
    )  # fmt: skip
    fetched = run_worker("deepcoder_data.fetch_model", run, tmp_path / "run", *arguments, environment=s3.environment)

    assert (refused.code, refused.message.reason) == (64, "AccessDenied")
    assert refused.message.cause.startswith(f'spec.storage.secretName: "s3-credentials": spec.model.uri "{uri}": ')
    assert (fetched.code, fetched.message.reason) == (0, "Fetched"), fetched.log
    assert contents(tmp_path / "to") == contents(model_folder)
