"""What is looked at before anything expensive starts: the bucket, the key, the model, the files of problems.

Each check raises PermanentError, or RetryableError where another try can help, with a cause that names the field.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from pathlib import Path

import structlog

from deepcoder_api.processes import CLAIM_DIRECTORY
from deepcoder_api.specification import StorageSpec
from deepcoder_data.causes import STORAGE_URI, cause, failure
from deepcoder_data.files import local_file, seems_empty
from deepcoder_data.models import file_of_model, missing_shards, model_faults, model_files
from deepcoder_data.source_files import source_uris
from deepcoder_data.store import ConflictError, ObjectStore, StoreError
from deepcoder_data.termination import PermanentError

INDEX = "model.safetensors.index.json"
log = structlog.get_logger("checks")


def check_storage(store: ObjectStore, storage: StorageSpec) -> None:
    """The bucket is there, the key may list, write and delete in it, and a conditional put is honoured."""
    uri = storage.uri
    probe = f"{uri.rstrip('/')}/.preflight-{uuid.uuid4().hex}"
    try:
        store.check_bucket(uri)
        try:
            honoured = _honours_conditions(store, probe)
        finally:
            store.delete(probe)
    except StoreError as error:
        raise failure(error, STORAGE_URI, uri, storage, "StorageRefused") from error
    if not honoured:
        raise PermanentError(
            "ConditionalPutUnsupported",
            cause(
                STORAGE_URI,
                uri,
                f"the server at {storage.endpoint or 'AWS'} ignores If-Match or If-None-Match on a put; "
                "checkpoints need a server that honours them, so that two attempts cannot both commit",
            ),
        )
    log.info("storage is writable", uri=uri)


def _honours_conditions(store: ObjectStore, probe: str) -> bool:
    etag = store.put_bytes(probe, b"preflight", if_absent=True)
    newer = store.put_bytes(probe, b"preflight, once more", if_match=etag)
    absent = _conflicts(lambda: store.put_bytes(probe, b"must not be written", if_absent=True))
    stale = _conflicts(lambda: store.put_bytes(probe, b"must not be written", if_match=etag))
    return newer != etag and absent and stale


def _conflicts(put: Callable[[], object]) -> bool:
    try:
        put()
    except ConflictError:
        return True
    return False


def check_model(
    store: ObjectStore,
    storage: StorageSpec,
    uri: str,
    revision: str | None = None,
    *,
    field: str = "spec.model.uri",
    claim: Path = Path(CLAIM_DIRECTORY),
) -> None:
    """A model is there: its configuration, all its weights as safetensors, a tokenizer. No weights are fetched."""
    try:
        files = model_files(store, uri, revision, claim)
        faults = model_faults(files)
        if not faults and INDEX in files:
            faults = _missing_shards(store, uri, revision, files, claim)
    except StoreError as error:
        raise failure(error, field, uri, storage, "ModelNotFound") from error
    if faults:
        raise PermanentError("ModelNotFound", cause(field, uri, f"there is no model ({', '.join(faults)})"))
    log.info("model is there", uri=uri, files=len(files), bytes=sum(files.values()))


def _missing_shards(
    store: ObjectStore, uri: str, revision: str | None, names: Collection[str], claim: Path
) -> list[str]:
    try:
        with local_file(store, file_of_model(uri, INDEX, revision, claim)) as file:
            return [f"no {name}, which {INDEX} names" for name in missing_shards(file.read_bytes(), names)]
    except ValueError as error:
        return [f"{INDEX} cannot be read: {error}"]


def check_file(store: ObjectStore, storage: StorageSpec, uri: str, *, field: str) -> None:
    """Files of problems are there and one has content. `field` is their URI's path in the specification."""
    try:
        files = source_uris(store, uri)
        empty = all(seems_empty(store, file) for file in files)
    except StoreError as error:
        raise failure(error, field, uri, storage, "DataNotFound") from error
    if empty:
        raise PermanentError("DataEmpty", cause(field, uri, "the file is empty; at least one problem is needed"))
    log.info("file of problems is there", uri=uri, files=len(files))
