"""Failures of the store in the words of the specification: which field is wrong, its value, and what is allowed. Pure.

A person reads them in a condition: they name the field as it is written in YAML.
"""

from __future__ import annotations

import json

from deepcoder_api.specification import StorageSpec
from deepcoder_data.folders import DamagedError
from deepcoder_data.store import (
    AccessDeniedError,
    BucketMissingError,
    ConflictError,
    ObjectMissingError,
    StoreError,
)
from deepcoder_data.termination import PermanentError, RetryableError

STORAGE_URI = "spec.storage.uri"


def cause(field: str, value: str | None, problem: str) -> str:
    """One sentence for people, such as `spec.model.uri: "s3://b/x": there is no model (no config.json)`."""
    return f"{field}: {'not given' if value is None else json.dumps(value, ensure_ascii=False)}: {problem}"


def failure(error: StoreError, field: str, value: str, storage: StorageSpec, missing: str) -> PermanentError:
    """What `error`, met at the URI `value` of `field`, means; `missing` is the reason when nothing is there."""
    if error.retryable:
        return _unavailable(error, field, value, storage)
    match error:
        case BucketMissingError():
            return PermanentError("BucketNotFound", cause(field, value, f"{_said(error, value)}{_at(storage, value)}"))
        case AccessDeniedError():
            return _denied(error, field, value, storage)
        case ObjectMissingError():
            return PermanentError(missing, cause(field, value, _said(error, value)))
        case DamagedError():
            return PermanentError("Damaged", cause(field, value, _said(error, value)))
        case ConflictError():
            return RetryableError("StorageConflict", cause(field, value, _said(error, value)))
        case _:
            return PermanentError("StorageRefused", cause(field, value, _said(error, value)))


def _unavailable(error: StoreError, field: str, value: str, storage: StorageSpec) -> RetryableError:
    if value.startswith("s3://"):
        said = cause("spec.storage.endpoint", storage.endpoint or "AWS", str(error))
        return RetryableError("StorageUnavailable", said)
    return RetryableError("HubUnavailable", cause(field, value, _said(error, value)))


def _denied(error: StoreError, field: str, value: str, storage: StorageSpec) -> PermanentError:
    if not value.startswith("s3://"):
        return PermanentError("AccessDenied", cause(field, value, _said(error, value)))
    problem = f"{field} {json.dumps(value)}: access is refused{_at(storage, value)}: {_said(error, value)}"
    if storage.secret_name is None:
        problem += "; without it the pod's own identity (or the AWS_ variables) must be allowed to read and write there"
    return PermanentError("AccessDenied", cause("spec.storage.secretName", storage.secret_name, problem))


def _at(storage: StorageSpec, value: str) -> str:
    return f" at {storage.endpoint}" if storage.endpoint and value.startswith("s3://") else ""


def _said(error: StoreError, value: str) -> str:
    """The error without the URI, which the cause names already."""
    return str(error).removeprefix(f"{value}: ")
