"""Failures in the words of the specification."""

from __future__ import annotations

import pytest

from deepcoder_api.specification import StorageSpec
from deepcoder_data.causes import cause, failure
from deepcoder_data.folders import DamagedError
from deepcoder_data.store import (
    AccessDeniedError,
    BucketMissingError,
    ConflictError,
    ObjectMissingError,
    StoreError,
    StoreUnavailableError,
)
from deepcoder_data.termination import RetryableError

STORAGE = StorageSpec(uri="s3://bucket/prefix", endpoint="http://s3:8333", secret_name="keys")
URI = "s3://b/x"


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (
            BucketMissingError(f"{URI}: the bucket 'b' does not exist"),
            "BucketNotFound",
            "spec.model.uri: \"s3://b/x\": the bucket 'b' does not exist at http://s3:8333",
        ),
        (
            ObjectMissingError(f"{URI}: there is no such object"),
            "ModelNotFound",
            'spec.model.uri: "s3://b/x": there is no such object',
        ),
        (
            AccessDeniedError(f"{URI}: InvalidAccessKeyId"),
            "AccessDenied",
            'spec.storage.secretName: "keys": spec.model.uri "s3://b/x": access is refused at http://s3:8333: '
            "InvalidAccessKeyId",
        ),
        (
            StoreUnavailableError(f"{URI}: no answer"),
            "StorageUnavailable",
            'spec.storage.endpoint: "http://s3:8333": s3://b/x: no answer',
        ),
        (DamagedError(f"{URI}: not a marker"), "Damaged", 'spec.model.uri: "s3://b/x": not a marker'),
        (ConflictError(f"{URI}: 412"), "StorageConflict", 'spec.model.uri: "s3://b/x": 412'),
        (StoreError(f"{URI}: 400"), "StorageRefused", 'spec.model.uri: "s3://b/x": 400'),
    ],
)
def test_a_failure_names_the_field_that_must_change(error: StoreError, reason: str, said: str) -> None:
    """The key's own field for a refusal, the endpoint's for silence, else the field whose URI it was."""
    found = failure(error, "spec.model.uri", URI, STORAGE, "ModelNotFound")

    assert (found.reason, str(found)) == (reason, said)
    assert isinstance(found, RetryableError) == (reason in ("StorageUnavailable", "StorageConflict"))


def test_without_a_secret_the_pods_own_identity_is_named() -> None:
    """Workload identity has no Secret to look into."""
    storage = STORAGE.model_copy(update={"secret_name": None})

    said = str(failure(AccessDeniedError(f"{URI}: 403"), "spec.storage.uri", URI, storage, "x"))

    assert said.startswith("spec.storage.secretName: not given: ")
    assert "the pod's own identity" in said


def test_a_refusal_by_the_hub_is_not_blamed_on_the_bucket() -> None:
    """An hf:// model has nothing to do with spec.storage."""
    uri = "hf://organisation/gated"
    found = failure(AccessDeniedError(f"{uri}: the repository is gated"), "spec.model.uri", uri, STORAGE, "x")

    assert str(found) == 'spec.model.uri: "hf://organisation/gated": the repository is gated'


def test_an_absent_value_is_said_to_be_absent() -> None:
    """No quotation marks around nothing."""
    assert cause("spec.a", None, "is needed") == "spec.a: not given: is needed"
