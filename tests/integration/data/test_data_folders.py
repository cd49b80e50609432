"""Folders that are whole or do not exist, on a real S3 server."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_data.folders import (
    DamagedError,
    commit_folder,
    delete_completed,
    download_folder,
    read_completion,
    remove_incomplete,
)
from deepcoder_data.store import AccessDeniedError, ObjectMissingError, ObjectStore
from tests.s3_server import READER_KEY, S3Server


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder to commit: two files in folders, one beside them, one empty."""
    folder = tmp_path / "local"
    for name, content in (("model/a", b"aaaa"), ("model/deep/b", b"bb"), ("state.json", b"{}"), ("empty", b"")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_committed_folder_comes_back_whole(store: ObjectStore, folder: str, local: Path, tmp_path: Path) -> None:
    """With sizes, checksums and what the writer said of it."""
    committed = commit_folder(store, local, f"{folder}/one", {"attempt": "3"})

    assert read_completion(store, f"{folder}/one") == committed
    assert (committed.total_bytes, committed.metadata) == (8, {"attempt": "3"})
    assert download_folder(store, f"{folder}/one", tmp_path / "back") == committed
    assert contents(tmp_path / "back") == contents(local)


def test_a_part_of_a_folder_is_fetched_alone(store: ObjectStore, folder: str, local: Path, tmp_path: Path) -> None:
    """The model of a checkpoint without its optimizer state."""
    commit_folder(store, local, f"{folder}/one")

    download_folder(store, f"{folder}/one", tmp_path / "model", under="model/")

    assert contents(tmp_path / "model") == {"a": b"aaaa", "deep/b": b"bb"}


def test_without_its_marker_a_folder_does_not_exist(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """Files alone, as a killed upload leaves them, are nothing."""
    store.put_bytes(f"{folder}/one/model/a", b"aaaa")

    assert read_completion(store, f"{folder}/one") is None
    with pytest.raises(ObjectMissingError, match="is not complete"):
        download_folder(store, f"{folder}/one", tmp_path / "back")


def test_a_commit_that_fails_leaves_no_folder(s3: S3Server, store: ObjectStore, folder: str, local: Path) -> None:
    """The marker comes last, so a refused upload leaves none; an empty folder is refused at once."""
    with pytest.raises(AccessDeniedError):
        commit_folder(s3.store(READER_KEY), local, f"{folder}/one")
    with pytest.raises(ValueError, match="no files"):
        commit_folder(store, local / "nothing", f"{folder}/one")

    assert read_completion(store, f"{folder}/one") is None


@pytest.mark.parametrize("damage", [b"aaab", b"aaaaa", b""])
def test_a_damaged_file_is_found_and_not_left_behind(
    store: ObjectStore, folder: str, local: Path, tmp_path: Path, damage: bytes
) -> None:
    """A flipped byte, a longer file, an empty one: the error names the file, what it has and what it should have."""
    commit_folder(store, local, f"{folder}/one")
    store.put_bytes(f"{folder}/one/model/a", damage)

    with pytest.raises(DamagedError, match=rf"{folder}/one/model/a has {len(damage)} bytes .* says 4 bytes"):
        download_folder(store, f"{folder}/one", tmp_path / "back")
    assert not (tmp_path / "back" / "model" / "a").exists()


def test_a_lost_file_is_missing(store: ObjectStore, folder: str, local: Path, tmp_path: Path) -> None:
    """The marker names it, so the folder is not whole."""
    commit_folder(store, local, f"{folder}/one")
    store.delete(f"{folder}/one/state.json")

    with pytest.raises(ObjectMissingError, match=r"state\.json"):
        download_folder(store, f"{folder}/one", tmp_path / "back")


@pytest.mark.parametrize("marker", [b"", b"{}", b'{"files": [], "extra": 1}', b"not json"])
def test_a_marker_that_is_none_is_damage(store: ObjectStore, folder: str, marker: bytes) -> None:
    """Never an empty folder."""
    store.put_bytes(f"{folder}/one/complete.json", marker)

    with pytest.raises(DamagedError, match=f"{folder}/one/complete.json is not a completion marker"):
        read_completion(store, f"{folder}/one")


def test_what_is_there_and_right_is_not_fetched_again(
    store: ObjectStore, folder: str, local: Path, tmp_path: Path
) -> None:
    """A restart fetches only what is missing or wrong."""
    commit_folder(store, local, f"{folder}/one")
    back = tmp_path / "back"
    download_folder(store, f"{folder}/one", back)
    store.delete(f"{folder}/one/model/deep/b")  # would be missed if it were fetched
    (back / "model" / "a").write_bytes(b"axxa")

    download_folder(store, f"{folder}/one", back)

    assert contents(back) == contents(local)


def test_unfinished_folders_are_removed_and_whole_ones_stay(
    store: ObjectStore, bucket: str, folder: str, local: Path
) -> None:
    """With the uploads that were broken off; what lies beside the parent is not touched."""
    commit_folder(store, local, f"{folder}/steps/step-1")
    store.put_bytes(f"{folder}/steps/step-2/model/a", b"aaaa")
    store.put_bytes(f"{folder}/steps/step-2/deep/complete.json", b"not its own marker")
    store.put_bytes(f"{folder}/steps-beside/x", b"x")
    for name in ("step-2/large", "step-3/large"):
        store._client.create_multipart_upload(Bucket=bucket, Key=f"prefix/steps/{name}")

    assert remove_incomplete(store, f"{folder}/steps") == [f"{folder}/steps/step-2"]

    left = {entry.uri.removeprefix(f"{folder}/") for entry in store.list(folder)}
    assert left == {f"steps/step-1/{name}" for name in (*contents(local), "complete.json")} | {"steps-beside/x"}
    assert store.incomplete_uploads(f"{folder}/steps/") == []


def test_a_completed_folder_is_deleted_whole(store: ObjectStore, folder: str, local: Path) -> None:
    """Nothing of it is left."""
    commit_folder(store, local, f"{folder}/one")

    delete_completed(store, f"{folder}/one")

    assert list(store.list(folder)) == []
