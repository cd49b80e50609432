"""Which files a URI names."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_data.source_files import local_files, source_uris
from deepcoder_data.store import ObjectMissingError, ObjectStore

STORE = ObjectStore(None, "us-east-1")  # file:// URIs never reach it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of a data set, written in no order."""
    for name in ("train-10.parquet", "train-02.parquet", "test-01.parquet", "README.md", "x.jsonl", "y.jsonl.gz",
                 "more/train-00.parquet", "more/deep/z.jsonl"):  # fmt: skip
        file = tmp_path / "a folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "a folder"


def names(folder: Path, uri: str) -> list[str]:
    """The files that the URI names, by their paths in the folder."""
    uris = source_uris(STORE, uri)
    with local_files(STORE, uri) as files:
        assert [file.path.as_uri() for file in files] == uris
        return [file.path.relative_to(folder).as_posix() for file in files]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_is_its_files_of_known_kinds_in_the_order_of_their_names(folder: Path, slash: str) -> None:
    """Those of folders in it are not its own."""
    assert names(folder, folder.as_uri() + slash) == [
        "test-01.parquet", "train-02.parquet", "train-10.parquet", "x.jsonl", "y.jsonl.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("train-*.parquet", ["train-02.parquet", "train-10.parquet"]),
        ("*.md", ["README.md"]),
        ("*.parquet", ["test-01.parquet", "train-02.parquet", "train-10.parquet"]),
        ("*/*.parquet", ["more/train-00.parquet"]),
        ("*/deep/*", ["more/deep/z.jsonl"]),
        ("m*re/train-00.parquet", ["more/train-00.parquet"]),
        ("train-?2.parquet*", []),
    ],
)
def test_a_star_stands_for_any_characters_but_a_slash(folder: Path, pattern: str, found: list[str]) -> None:
    """No other character stands for others."""
    if found:
        assert names(folder, f"{folder.as_uri()}/{pattern}") == found
    else:
        with pytest.raises(ObjectMissingError, match="there is no such file"):
            names(folder, f"{folder.as_uri()}/{pattern}")


def test_files_are_named_where_there_are_several(folder: Path) -> None:
    """A bad row of one file needs no name."""
    with (
        local_files(STORE, f"{folder.as_uri()}/train-*") as several,
        local_files(STORE, f"{folder.as_uri()}/x.jsonl") as one,
    ):
        assert [file.name for file in several] == ["train-02.parquet", "train-10.parquet"]
        assert [file.name for file in one] == [""]


def test_a_file_that_is_named_may_have_any_name(folder: Path) -> None:
    """What it holds says what it is."""
    assert names(folder, f"{folder.as_uri()}/README.md") == ["README.md"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.jsonl", "none.jsonl: there is no such file"),
        ("none/", "there is no such folder"),
        ("none*.jsonl", "there is no such file"),
        ("only readme/", "the folder has no .jsonl, .jsonl.gz, .parquet files, only LICENSE, README.md"),
        ("empty/", "there is no such file or folder"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, path: str, said: str) -> None:
    """With the URI as it was given."""
    (folder / "empty").mkdir()
    (folder / "only readme").mkdir()
    for name in ("README.md", "LICENSE"):
        (folder / "only readme" / name).write_text("")
    uri = f"{folder.as_uri()}/{path.replace(' ', '%20')}"

    with pytest.raises(ObjectMissingError) as caught, local_files(STORE, uri):
        pass

    assert str(caught.value).startswith(uri.rstrip("/"))
    assert said in str(caught.value)


@pytest.mark.parametrize("uri", ["s3://buck*/x", "hf://data*/x"])
def test_no_star_stands_for_a_bucket(uri: str) -> None:
    """Nobody lists those."""
    with pytest.raises(ObjectMissingError, match="may stand in the path only"):
        source_uris(STORE, uri)
