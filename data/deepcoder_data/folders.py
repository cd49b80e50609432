"""Folders that are whole or do not exist: complete.json comes last, with size and sha256 of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from deepcoder_api.artifacts import COMPLETE, Completion, FileDigest
from deepcoder_data.store import ObjectMissingError, ObjectStore, StoreError

WORKERS = 8


class DamagedError(StoreError):
    """A file is not what complete.json says it is."""


def commit_folder(store: ObjectStore, local: Path, uri: str, metadata: Mapping[str, str] | None = None) -> Completion:
    """Upload all files under `local` to `uri`, then complete.json. Raises StoreError; then the folder does not exist.

    Raises ValueError for an empty folder.
    """
    files = sorted(path for path in local.rglob("*") if path.is_file())
    if not files:
        raise ValueError(f"{local} holds no files to commit")
    with ThreadPoolExecutor(WORKERS) as pool:
        digests = list(pool.map(lambda file: _upload(store, local, file, uri), files))
    completion = Completion(files=tuple(digests), metadata=dict(metadata or {}))
    store.put_bytes(f"{uri}/{COMPLETE}", completion.model_dump_json(indent=1).encode())
    return completion


def read_completion(store: ObjectStore, uri: str) -> Completion | None:
    """What a folder holds, or None when it was never completed. Raises StoreError."""
    try:
        content = store.get_bytes(f"{uri}/{COMPLETE}")
    except ObjectMissingError:
        return None
    try:
        return Completion.model_validate_json(content)
    except ValidationError as error:
        raise DamagedError(f"{uri}/{COMPLETE} is not a completion marker: {error}") from error


def download_folder(store: ObjectStore, uri: str, to: Path, *, under: str = "") -> Completion:
    """Fetch a completed folder, or its part `under`, and check every file. Raises DamagedError, ObjectMissingError.

    Files that are there already with the right checksum are not fetched again.
    """
    completion = read_completion(store, uri)
    if completion is None:
        raise ObjectMissingError(f"{uri} is not complete: it has no {COMPLETE}")
    wanted = [file for file in completion.files if file.path.startswith(under)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda file: _download(store, uri, file, to / file.path.removeprefix(under)), wanted))
    return completion


def remove_incomplete(store: ObjectStore, parent: str) -> list[str]:
    """Delete the folders directly under `parent` that have no complete.json; returns their URIs.

    Only for a writer that knows that nobody else writes there now.
    """
    prefix = f"{parent}/"
    seen: dict[str, bool] = {}
    for entry in store.list(parent):
        name, _, rest = entry.uri.removeprefix(prefix).partition("/")
        if rest:
            seen[name] = seen.get(name, False) or rest == COMPLETE
    removed = [f"{parent}/{name}" for name, complete in sorted(seen.items()) if not complete]
    for uri in removed:
        store.delete_folder(uri)
    for uri, upload in store.incomplete_uploads(parent):
        if (
            any(uri.startswith(f"{folder}/") for folder in removed)
            or uri.partition(prefix)[2].split("/")[0] not in seen
        ):
            store.abort_upload(uri, upload)
    return removed


def delete_completed(store: ObjectStore, uri: str) -> None:
    """Delete a folder, its marker first: a deletion that is broken off leaves no folder that looks whole."""
    store.delete(f"{uri}/{COMPLETE}")
    store.delete_folder(uri)


def file_digest(file: Path, path: str) -> FileDigest:
    """Size and sha256 of a local file, named `path`."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    return FileDigest(path=path, bytes=file.stat().st_size, sha256=digest.hexdigest())


def _upload(store: ObjectStore, local: Path, file: Path, uri: str) -> FileDigest:
    digest = file_digest(file, file.relative_to(local).as_posix())
    store.upload_file(file, f"{uri}/{digest.path}")
    return digest


def _download(store: ObjectStore, uri: str, wanted: FileDigest, to: Path) -> None:
    if to.exists() and file_digest(to, wanted.path) == wanted:
        return
    store.download_file(f"{uri}/{wanted.path}", to)
    found = file_digest(to, wanted.path)
    if found != wanted:
        to.unlink()
        raise DamagedError(
            f"{uri}/{wanted.path} has {found.bytes} bytes with sha256 {found.sha256}; "
            f"{COMPLETE} says {wanted.bytes} bytes with {wanted.sha256}"
        )
