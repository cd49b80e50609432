"""The files that a source's URI names, in order: one, those of a folder, or those by a name with *."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepcoder_data.files import local_file, local_path
from deepcoder_data.hub import SCHEME as HUB
from deepcoder_data.hub import hub_files, hub_has_file
from deepcoder_data.store import ObjectMissingError, ObjectStore

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
"""What is read of a folder; a file that is named itself may have any name."""
MOST_NAMED = 5


@dataclass(frozen=True)
class NamedFile:
    """A file on this machine, and its name among the source's; "" for a source of one file."""

    name: str
    path: Path


@contextmanager
def local_files(store: ObjectStore, uri: str, folder: Path | None = None) -> Iterator[list[NamedFile]]:
    """The files on this machine; what was fetched for it is removed afterwards. `folder` as in `local_file`.

    Raises StoreError.
    """
    with ExitStack() as stack:
        uris = source_uris(store, uri)
        paths = [stack.enter_context(local_file(store, one, folder)) for one in uris]
        names = [one.rpartition("/")[2] if len(uris) > 1 else "" for one in uris]
        yield [NamedFile(name, path) for name, path in zip(names, paths, strict=True)]


def source_uris(store: ObjectStore, uri: str) -> list[str]:
    """The URIs of the files; none is fetched. Raises ObjectMissingError when there are none, and StoreError."""
    if "*" in uri:
        return _matching(store, uri)
    if not uri.endswith("/") and _is_file(store, uri):
        return [uri]
    folder = uri.rstrip("/")
    names = [name for name in _listed(store, folder) if "/" not in name]
    if not names:
        raise ObjectMissingError(f"{uri}: there is no such file or folder")
    chosen = sorted(name for name in names if name.endswith(SUFFIXES))
    if not chosen:
        there = ", ".join(sorted(names)[:MOST_NAMED])
        raise ObjectMissingError(f"{uri}: the folder has no {', '.join(SUFFIXES)} files, only {there}")
    return [_joined(folder, name) for name in chosen]


def _matching(store: ObjectStore, uri: str) -> list[str]:
    """A * stands for any characters but /."""
    folder = uri[: uri.index("*")].rpartition("/")[0]
    if folder.endswith(":/") or (folder.endswith("//") and not folder.startswith("file:")):
        raise ObjectMissingError(f"{uri}: a * may stand in the path only")
    pattern = re.compile(re.escape(uri.removeprefix(f"{folder}/")).replace(r"\*", "[^/]*"))
    chosen = sorted(name for name in _listed(store, folder) if pattern.fullmatch(name))
    if not chosen:
        raise ObjectMissingError(f"{uri}: there is no such file")
    return [_joined(folder, name) for name in chosen]


def _is_file(store: ObjectStore, uri: str) -> bool:
    if uri.startswith(HUB):
        return hub_has_file(uri)
    if uri.startswith("s3://"):
        return store.head(uri) is not None
    return not _is_directory(uri)


def _is_directory(uri: str) -> bool:
    try:
        local_path(uri, directory=True)
    except ObjectMissingError:
        return False
    return True


def _listed(store: ObjectStore, folder: str) -> list[str]:
    """Paths under the folder of all files there."""
    if folder.startswith(HUB):
        return list(hub_files(folder))
    if folder.startswith("s3://"):
        return [entry.uri.removeprefix(f"{folder}/") for entry in store.list(folder)]
    root = local_path(folder, directory=True)
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]


def _joined(folder: str, name: str) -> str:
    return (local_path(folder, directory=True) / name).as_uri() if folder.startswith("file:") else f"{folder}/{name}"
