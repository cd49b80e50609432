"""`python -m deepcoder_data.fetch_model`: a model from wherever it lies into a folder, whole. What is there stays."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import structlog
from pydantic import Field, ValidationError

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.problems import Strict
from deepcoder_api.processes import CLAIM_DIRECTORY
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.causes import cause, failure
from deepcoder_data.configuration import read_resource
from deepcoder_data.folders import download_folder
from deepcoder_data.hub import SCHEME as HUB
from deepcoder_data.hub import download_hub_model
from deepcoder_data.models import (
    CONFIG,
    MODEL_PATTERNS,
    TOKENIZER_PATTERNS,
    StoredModel,
    matching,
    model_directory,
    model_faults,
    model_files,
    stored_model,
)
from deepcoder_data.store import ObjectMissingError, ObjectStore, StoreError, open_store
from deepcoder_data.termination import PermanentError, run_process

RECORD = ".fetched.json"
log = structlog.get_logger("fetch_model")


class Record(Strict):
    """What an earlier call left in the folder: every file with what tells its content (a checksum, an ETag, a path)."""

    uri: str
    files: dict[str, str] = Field(default_factory=dict)


def fetch_model(
    store: ObjectStore, uri: str, to: Path, revision: str | None = None, claim: Path = Path(CLAIM_DIRECTORY)
) -> None:
    """Bring the model at `uri` into the folder `to`; files of another model that an earlier call left go.

    Raises StoreError; ObjectMissingError when what is there is no model.
    """
    to.mkdir(parents=True, exist_ok=True)
    before = _read_record(to)
    if uri.startswith(HUB):
        _clear(to, before, keep={} if before.uri != uri else before.files)
        download_hub_model(uri, revision, MODEL_PATTERNS, to)
        files = {path.name: uri for path in to.iterdir() if path.is_file() and path.name != RECORD}
    elif uri.startswith("s3://"):
        files = _fetch_stored(store, stored_model(store, uri), to, before)
    else:
        _clear(to, before, keep={})
        files = link_model(model_directory(uri, claim), to)
    (to / RECORD).write_text(Record(uri=uri, files=files).model_dump_json(indent=1))
    if faults := model_faults(files):
        raise ObjectMissingError(f"{uri}: there is no model ({', '.join(faults)})")


def fetch_tokenizer(
    store: ObjectStore, uri: str, to: Path, revision: str | None = None, claim: Path = Path(CLAIM_DIRECTORY)
) -> None:
    """Bring the tokenizer of a model and its config.json, without any weights, into the folder `to`.

    Raises StoreError; ObjectMissingError when there is none.
    """
    to.mkdir(parents=True, exist_ok=True)
    patterns = (*TOKENIZER_PATTERNS, CONFIG)
    if uri.startswith(HUB):
        download_hub_model(uri, revision, patterns, to)
    elif uri.startswith("s3://"):
        root = uri.rstrip("/")
        for name in matching(model_files(store, uri), patterns):
            store.download_file(f"{root}/{name}", to / name)
    else:
        folder = model_directory(uri, claim)
        for name in matching([path.name for path in folder.iterdir()], patterns):
            shutil.copyfile(folder / name, to / name)
    if not matching([path.name for path in to.iterdir()], TOKENIZER_PATTERNS):
        raise ObjectMissingError(f"{uri}: there is no tokenizer")


def _fetch_stored(store: ObjectStore, model: StoredModel, to: Path, before: Record) -> dict[str, str]:
    if model.completion is not None:
        found = {file.path: file.sha256 for file in model.completion.files if file.path.startswith(model.under)}
        files = {path.removeprefix(model.under): digest for path, digest in found.items()}
        _clear(to, before, keep=files)
        download_folder(store, model.root, to, under=model.under)
        return files
    files = {entry.uri.removeprefix(f"{model.root}/"): entry.etag for entry in store.list(model.root)}
    _clear(to, before, keep=files)
    for path, etag in files.items():
        if before.files.get(path) == etag and (to / path).exists():
            continue
        store.download_file(f"{model.root}/{path}", to / path)
    return files


def link_model(folder: Path, to: Path) -> dict[str, str]:
    """Links in `to` in place of copies, each with where it leads: the folder is there wherever the model is read."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != RECORD)
    sources = {path.relative_to(folder).as_posix(): path for path in files}
    for path, source in sources.items():
        link = to / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(source.resolve())
    return {path: str(source) for path, source in sources.items()}


def _clear(to: Path, before: Record, keep: dict[str, str]) -> None:
    """Remove what an earlier call brought and this one does not want, and links that would be written through."""
    for path in before.files:
        file = to / path
        if file.is_symlink() or path not in keep or before.files[path] != keep[path]:
            file.unlink(missing_ok=True)


def _read_record(to: Path) -> Record:
    try:
        return Record.model_validate_json((to / RECORD).read_bytes())
    except (FileNotFoundError, ValidationError):
        return Record(uri="")


def main() -> TerminationMessage:
    """Fetch what the arguments name, with the storage of DEEPCODER_CONFIG."""
    parser = argparse.ArgumentParser(prog="python -m deepcoder_data.fetch_model", description=__doc__)
    parser.add_argument("--uri", required=True, help="s3://, hf://, pvc:// or file:// URI of the model")
    parser.add_argument("--to", type=Path, required=True, help="folder that the model is brought into")
    parser.add_argument("--revision", help="branch, tag or commit of an hf:// model")
    parser.add_argument("--claim-directory", type=Path, default=Path(CLAIM_DIRECTORY), help="where a claim is mounted")
    parser.add_argument("--cache", type=Path, help="folder that keeps models, shared by many pods")
    arguments = parser.parse_args()
    resource = read_resource()
    storage, field = resource.spec.storage, "spec.model.uri"
    if not isinstance(resource, ResolvedRun) and resource.spec.model.uri is None:
        field = "spec.model.trainingRun"
    try:
        store = open_store(storage)
        if arguments.cache is not None:
            from deepcoder_data.model_cache import fetch_through_cache  # it imports this module

            fetch_through_cache(store, arguments.uri, arguments.to, arguments.cache)
        else:
            fetch_model(store, arguments.uri, arguments.to, arguments.revision, arguments.claim_directory)
    except StoreError as error:
        raise failure(error, field, arguments.uri, storage, "ModelNotFound") from error
    except OSError as error:
        raise PermanentError(
            "DiskFailed", cause(field, arguments.uri, f"cannot be written to {arguments.to}: {error}")
        ) from error
    log.info("model is here", uri=arguments.uri, to=str(arguments.to))
    return TerminationMessage(outcome="done", reason="Fetched", cause=f"{arguments.uri} is in {arguments.to}")


if __name__ == "__main__":
    run_process(main)
