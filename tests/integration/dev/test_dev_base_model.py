"""The quickstart's base model as this machine keeps it, over a real S3 server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "dev"))  # its modules import each other from there

import base_model  # noqa: E402

from deepcoder_data.folders import DamagedError, commit_folder, read_completion  # noqa: E402
from tests.s3_server import S3Server  # noqa: E402

FILES = {"training.jsonl": b"{}\n", "held-out.jsonl": b"[]\n", "model/config.json": b"{}", "model/weights": b"w" * 4096}


@pytest.fixture
def made(s3: S3Server, bucket: str, tmp_path: Path) -> str:
    """A base model in S3 as its Job leaves it."""
    uri, store = f"s3://{bucket}/base-0", s3.store()
    for name, content in FILES.items():
        file = tmp_path / "made" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for name in ("training.jsonl", "held-out.jsonl"):
        store.upload_file(tmp_path / "made" / name, f"{uri}/{name}")
    commit_folder(store, tmp_path / "made" / "model", f"{uri}/model", {"seed": "0"})
    return uri


def test_what_is_kept_is_put_back_as_it_was(s3: S3Server, made: str, tmp_path: Path) -> None:
    """The same files under the same names, complete, in the S3 of another cluster."""
    store, folder, again = s3.store(), tmp_path / "kept" / "one", f"{made}-again"
    base_model.keep(store, made, folder)
    base_model.put(store, folder, again, 0)
    assert read_completion(store, f"{again}/model") == read_completion(store, f"{made}/model")
    assert {name: store.get_bytes(f"{again}/{name}") for name in FILES} == FILES


def test_nothing_damaged_is_kept(s3: S3Server, made: str, tmp_path: Path) -> None:
    """A file that is not what its checksum says leaves no folder behind."""
    store = s3.store()
    store.put_bytes(f"{made}/model/weights", b"other")
    with pytest.raises(DamagedError):
        base_model.keep(store, made, tmp_path / "kept" / "one")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_seed_and_what_shapes_the_model_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the script, or of a pinned version, makes another model; the same finds what is kept."""
    first = base_model.kept_folder(0)
    assert first == base_model.kept_folder(0)
    assert first != base_model.kept_folder(1)
    monkeypatch.setattr(base_model, "SHAPED_BY", base_model.SHAPED_BY[1:])
    assert first != base_model.kept_folder(0)
