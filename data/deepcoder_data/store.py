"""The object store: S3 by URI, with its errors turned into ours at this one place.

StoreError (retryable tells whether another try can help)
├── AccessDeniedError       the key is wrong, or may not do this
├── BucketMissingError      the bucket is not there
├── ObjectMissingError      the object is not there
├── ConflictError           a conditional put lost
└── StoreUnavailableError   the server does not answer, or has a fault of its own
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3 import Session
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deepcoder_api.specification import StorageSpec

CONNECT_SECONDS = 5
READ_SECONDS = 60
ATTEMPTS = 5
PART_BYTES = 16 * 1024 * 1024
TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=8)

_DENIED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401"}
)
_MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
_CONFLICT = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class StoreError(Exception):
    """The store did not do what was asked."""

    retryable = False


class AccessDeniedError(StoreError):
    """The key is wrong or may not do this."""


class BucketMissingError(StoreError):
    """The bucket is not there."""


class ObjectMissingError(StoreError):
    """The object is not there."""


class ConflictError(StoreError):
    """Somebody else wrote first."""


class StoreUnavailableError(StoreError):
    """The server does not answer, or has a fault of its own."""

    retryable = True


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing shows it; `uri` is whole, `etag` changes with the content."""

    uri: str
    bytes: int
    etag: str


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI; the key has no slash at its ends. Raises ValueError for another scheme."""
    if not uri.startswith("s3://"):
        raise ValueError(f"{uri!r} is no s3:// URI")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key.strip("/")


class ObjectStore:
    """An S3 server. Every method raises StoreError; every request has a deadline and a bounded number of tries."""

    def __init__(
        self, endpoint: str | None, region: str, *, access_key: str | None = None, secret_key: str | None = None
    ) -> None:
        """Without a key, requests are signed with what AWS_* variables or the machine's own identity give."""
        self._endpoint = endpoint
        config = Config(
            region_name=region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint else {},
            max_pool_connections=32,
        )
        # A session of its own: boto3's default one remembers the first credentials that anybody found.
        self._client: Any = Session().client(
            "s3",
            endpoint_url=endpoint,
            config=config,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
        )

    def get_bytes(self, uri: str) -> bytes:
        """The content of an object."""
        return self.get_with_etag(uri)[0]

    def get_with_etag(self, uri: str) -> tuple[bytes, str]:
        """Content and ETag, which a conditional put can name."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            response = self._client.get_object(Bucket=bucket, Key=key)
            return response["Body"].read(), response["ETag"]

    def get_start(self, uri: str, count: int) -> bytes:
        """The first `count` bytes of an object, fewer when it has fewer."""
        bucket, key = split_uri(uri)
        found = self.head(uri)
        if found is None:
            raise ObjectMissingError(f"{uri}: there is no such object")
        if found.bytes == 0:
            return b""  # a range of nothing is refused
        with self._translated(uri):
            return self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{count - 1}")["Body"].read()

    def put_bytes(self, uri: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        """Write an object and return its ETag; with a condition, raises ConflictError when it does not hold."""
        bucket, key = split_uri(uri)
        conditions: dict[str, str] = {}
        if if_match is not None:
            conditions["IfMatch"] = if_match
        if if_absent:
            conditions["IfNoneMatch"] = "*"
        with self._translated(uri):
            return self._client.put_object(Bucket=bucket, Key=key, Body=content, **conditions)["ETag"]

    def exists(self, uri: str) -> bool:
        """Whether the object is there."""
        return self.head(uri) is not None

    def head(self, uri: str) -> StoredObject | None:
        """Size and ETag of an object, or None when it is not there."""
        bucket, key = split_uri(uri)
        try:
            with self._translated(uri):
                response = self._client.head_object(Bucket=bucket, Key=key)
        except ObjectMissingError:
            # HEAD has no body: a missing bucket looks like a missing object until it is asked for by itself.
            self.check_bucket(uri)
            return None
        return StoredObject(uri, response["ContentLength"], response["ETag"])

    def check_bucket(self, uri: str) -> None:
        """Raises BucketMissingError, AccessDeniedError or StoreUnavailableError unless the bucket can be listed."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)

    def list(self, uri: str) -> Iterator[StoredObject]:
        """All objects under a folder, in the order of their names."""
        bucket, key = split_uri(uri)
        prefix = f"{key}/" if key else ""
        with self._translated(uri):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(f"s3://{bucket}/{entry['Key']}", entry["Size"], entry["ETag"])

    def delete(self, uri: str) -> None:
        """Delete one object; one that is not there is no error."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            self._client.delete_object(Bucket=bucket, Key=key)

    def delete_folder(self, uri: str) -> int:
        """Delete everything under a folder and return how much it was. Refuses a whole bucket with ValueError."""
        bucket, key = split_uri(uri)
        if not key:
            raise ValueError(f"{uri!r} is a whole bucket; only a folder in it may be deleted")
        found = [split_uri(entry.uri)[1] for entry in self.list(uri)]
        with self._translated(uri):
            for name in found:
                self._client.delete_object(Bucket=bucket, Key=name)
        return len(found)

    def upload_file(self, file: Path, uri: str) -> None:
        """Send a file, in parts when it is large."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            self._client.upload_file(str(file), bucket, key, Config=TRANSFER)

    def download_file(self, uri: str, file: Path) -> None:
        """Fetch an object into a file, in parts when it is large; the file appears whole or not at all."""
        bucket, key = split_uri(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._translated(uri):
                self._client.download_file(bucket, key, str(file), Config=TRANSFER)
        except ObjectMissingError:
            self.check_bucket(uri)  # the transfer begins with a HEAD, as above
            raise

    def incomplete_uploads(self, uri: str) -> list[tuple[str, str]]:
        """Multi-part uploads under a folder that were never finished: (uri, upload id)."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            response = self._client.list_multipart_uploads(Bucket=bucket, Prefix=key)
        return [(f"s3://{bucket}/{entry['Key']}", entry["UploadId"]) for entry in response.get("Uploads", ())]

    def abort_upload(self, uri: str, upload: str) -> None:
        """Throw away the parts of an unfinished upload."""
        bucket, key = split_uri(uri)
        with self._translated(uri):
            self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)

    @contextmanager
    def _translated(self, uri: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise _of_response(error, uri) from error
        except S3UploadFailedError as error:
            cause = error.__context__
            if isinstance(cause, ClientError):
                raise _of_response(cause, uri) from error
            raise StoreUnavailableError(f"{uri}: the upload failed: {error}") from error
        except NoCredentialsError as error:
            raise AccessDeniedError(f"{uri}: there are no credentials (AWS_ACCESS_KEY_ID is not set)") from error
        except (BotoCoreError, RetriesExceededError) as error:
            where = self._endpoint or "AWS"
            raise StoreUnavailableError(f"{uri}: the server at {where} does not answer: {error}") from error


def open_store(storage: StorageSpec) -> ObjectStore:
    """The store of a specification; credentials come from AWS_* variables or the pod's own identity."""
    return ObjectStore(storage.endpoint, storage.region)


def _of_response(error: ClientError, uri: str) -> StoreError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = error.response.get("Error", {}).get("Message", "")
    said = f"{uri}: {code} {message}".strip()
    if code == "NoSuchBucket":
        return BucketMissingError(f"{uri}: the bucket {split_uri(uri)[0]!r} does not exist")
    if code in _DENIED or status in (401, 403):
        return AccessDeniedError(f"{said} (is the access key right, and may it do this?)")
    if code in _CONFLICT or status == 412:
        return ConflictError(said)
    if code in _MISSING or status == 404:
        return ObjectMissingError(f"{uri}: there is no such object")
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "InternalError"):
        return StoreUnavailableError(said)
    return StoreError(said)
