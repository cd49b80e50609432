"""The store on a real S3 server: what it holds, and how it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deepcoder_data import store as store_module
from deepcoder_data.store import (
    PART_BYTES,
    AccessDeniedError,
    BucketMissingError,
    ConflictError,
    ObjectMissingError,
    ObjectStore,
    StoredObject,
    StoreError,
    StoreUnavailableError,
)
from tests.s3_server import READER_KEY, S3Server

Call = Callable[[ObjectStore, str], object]
READS: dict[str, Call] = {
    "get": lambda store, folder: store.get_bytes(f"{folder}/x"),
    "start": lambda store, folder: store.get_start(f"{folder}/x", 10),
    "head": lambda store, folder: store.head(f"{folder}/x"),
    "list": lambda store, folder: list(store.list(folder)),
    "check": lambda store, folder: store.check_bucket(folder),
    "download": lambda store, folder: store.download_file(f"{folder}/x", Path("/nowhere/at/all").with_name("x")),
}
WRITES: dict[str, Call] = {
    "put": lambda store, folder: store.put_bytes(f"{folder}/x", b"1"),
    "put if absent": lambda store, folder: store.put_bytes(f"{folder}/x", b"1", if_absent=True),
    "upload": lambda store, folder: store.upload_file(Path(__file__), f"{folder}/x"),
    "delete": lambda store, folder: store.delete(f"{folder}/x"),
}


def test_what_is_put_is_read_listed_and_deleted(store: ObjectStore, folder: str) -> None:
    """Names with spaces and of other scripts too; a listing has what lies under a folder and nothing beside it."""
    for name in ("a", "b/c", "b/ü +%.txt"):
        store.put_bytes(f"{folder}/{name}", name.encode())
    store.put_bytes(f"{folder}-beside/d", b"beside")

    assert [entry.uri for entry in store.list(folder)] == [f"{folder}/{name}" for name in ("a", "b/c", "b/ü +%.txt")]
    assert store.get_bytes(f"{folder}/b/ü +%.txt") == "b/ü +%.txt".encode()
    assert store.get_start(f"{folder}/b/c", 2) == b"b/"
    content, etag = store.get_with_etag(f"{folder}/a")
    assert store.head(f"{folder}/a") == StoredObject(f"{folder}/a", len(content), etag)
    assert store.delete_folder(folder) == 3
    assert list(store.list(folder)) == []
    assert store.exists(f"{folder}-beside/d")


def test_an_empty_object_has_an_empty_start(store: ObjectStore, folder: str) -> None:
    """S3 refuses a range of nothing; the store does not."""
    store.put_bytes(f"{folder}/empty", b"")

    assert store.get_start(f"{folder}/empty", 100) == b""


def test_more_objects_than_a_page_are_listed(store: ObjectStore, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing goes on until there is no more page."""
    names = [f"{folder}/{index:03d}" for index in range(25)]
    for name in names:
        store.put_bytes(name, b"x")
    client = store._client
    paginator = client.get_paginator("list_objects_v2")
    paginate = paginator.paginate
    monkeypatch.setattr(paginator, "paginate", lambda **given: paginate(**given, PaginationConfig={"PageSize": 10}))
    monkeypatch.setattr(client, "get_paginator", lambda name: paginator)

    assert [entry.uri for entry in store.list(folder)] == names


def test_a_missing_object_is_missing_and_a_missing_object_deleted_is_no_error(store: ObjectStore, folder: str) -> None:
    """`head` says None; whoever needs the content is told that it is not there."""
    assert store.head(f"{folder}/none") is None
    assert not store.exists(f"{folder}/none")
    store.delete(f"{folder}/none")
    with pytest.raises(ObjectMissingError, match=f"{folder}/none"):
        store.get_bytes(f"{folder}/none")
    with pytest.raises(ObjectMissingError, match=f"{folder}/none"):
        store.get_start(f"{folder}/none", 1)


def test_a_download_that_fails_leaves_no_file(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """Neither the file nor a part of it."""
    with pytest.raises(ObjectMissingError, match=f"{folder}/none"):
        store.download_file(f"{folder}/none", tmp_path / "new" / "file")

    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", READS)
def test_a_missing_bucket_is_named(store: ObjectStore, name: str) -> None:
    """It is told from a missing object, even where the server's answer has no body."""
    with pytest.raises(BucketMissingError, match="'no-such-bucket' does not exist") as caught:
        READS[name](store, "s3://no-such-bucket/prefix")

    assert not caught.value.retryable


@pytest.mark.parametrize("name", [*READS, *WRITES])
@pytest.mark.parametrize("access_key", ["nobody", READER_KEY])
def test_a_wrong_key_is_denied(s3: S3Server, folder: str, name: str, access_key: str) -> None:
    """An unknown key, and one whose secret is wrong: asking again cannot help."""
    store = s3.store(access_key, "wrong-secret")

    with pytest.raises(AccessDeniedError) as caught:
        (READS | WRITES)[name](store, folder)

    assert not caught.value.retryable


@pytest.mark.parametrize("name", WRITES)
def test_a_key_that_may_only_read_cannot_write(s3: S3Server, folder: str, name: str) -> None:
    """The refusal names the object."""
    with pytest.raises(AccessDeniedError, match=f"{folder}/x"):
        WRITES[name](s3.store(READER_KEY), folder)


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_server_that_does_not_answer_may_be_asked_again(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody listens on port 1; the failure is one that may heal, and it names the endpoint."""
    monkeypatch.setattr(store_module, "ATTEMPTS", 1)
    store = ObjectStore("http://127.0.0.1:1", "us-east-1", access_key="x", secret_key="y")

    with pytest.raises(StoreUnavailableError) as caught:
        (READS | WRITES)[name](store, "s3://bucket/prefix")

    assert caught.value.retryable


def test_without_a_key_access_is_denied(s3: S3Server, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No AWS_* variables, no configuration, no machine identity."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID is not set"):
        ObjectStore(s3.endpoint, "us-east-1").get_bytes(f"{folder}/x")


def test_a_put_only_where_nothing_is(store: ObjectStore, folder: str) -> None:
    """Of two writers the first wins, and the loser is told."""
    store.put_bytes(f"{folder}/x", b"first", if_absent=True)

    with pytest.raises(ConflictError):
        store.put_bytes(f"{folder}/x", b"second", if_absent=True)
    assert store.get_bytes(f"{folder}/x") == b"first"


def test_a_put_only_over_what_was_read(store: ObjectStore, folder: str) -> None:
    """An ETag that is no longer that of the object loses."""
    old = store.put_bytes(f"{folder}/x", b"1")
    new = store.put_bytes(f"{folder}/x", b"2", if_match=old)

    assert new != old
    with pytest.raises(ConflictError):
        store.put_bytes(f"{folder}/x", b"3", if_match=old)
    assert store.get_with_etag(f"{folder}/x") == (b"2", new)


def test_a_large_file_goes_in_parts_and_comes_back_equal(store: ObjectStore, folder: str, tmp_path: Path) -> None:
    """Three parts, the last one short; nothing unfinished is left."""
    file = tmp_path / "large"
    block = bytes(range(256)) * 4096
    with file.open("wb") as output:
        for index in range(2 * PART_BYTES // len(block)):
            output.write(index.to_bytes(4, "big") + block[4:])
        output.write(b"the end")

    store.upload_file(file, f"{folder}/large")
    store.download_file(f"{folder}/large", tmp_path / "back")

    found = store.head(f"{folder}/large")
    assert found is not None
    assert found.bytes == 2 * PART_BYTES + len(b"the end")
    assert found.etag.rstrip('"').endswith("-3"), "the ETag of an upload in three parts"
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert store.incomplete_uploads(folder) == []


def test_an_unfinished_upload_is_seen_and_thrown_away(store: ObjectStore, bucket: str, folder: str) -> None:
    """What a killed process leaves costs money until it is aborted."""
    started = store._client.create_multipart_upload(Bucket=bucket, Key="prefix/large")
    store._client.upload_part(
        Bucket=bucket, Key="prefix/large", UploadId=started["UploadId"], PartNumber=1, Body=b"x" * 100
    )

    assert store.incomplete_uploads(folder) == [(f"{folder}/large", started["UploadId"])]
    store.abort_upload(f"{folder}/large", started["UploadId"])
    assert store.incomplete_uploads(folder) == []
    assert store.head(f"{folder}/large") is None


def test_a_whole_bucket_is_never_deleted(store: ObjectStore, bucket: str) -> None:
    """A prefix that came out empty must not cost everything."""
    for uri in (f"s3://{bucket}", f"s3://{bucket}/"):
        with pytest.raises(ValueError, match="whole bucket"):
            store.delete_folder(uri)


def test_every_error_is_a_store_error() -> None:
    """Callers catch one type."""
    for error in (AccessDeniedError, BucketMissingError, ObjectMissingError, ConflictError, StoreUnavailableError):
        assert issubclass(error, StoreError)


def test_a_download_that_is_broken_off_again_and_again_may_be_tried_again(tmp_path: Path) -> None:
    """boto3 has an error of its own for it, which is none of botocore's: it must not end a run."""

    class BrokenOff(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            for name, value in (("Content-Length", "1000"), ("ETag", '"0"'), ("Connection", "close")):
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"0" * 10)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), BrokenOff) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        broken = ObjectStore(f"http://127.0.0.1:{server.server_port}", "us-east-1", access_key="a", secret_key="b")
        with pytest.raises(StoreUnavailableError) as raised:
            broken.download_file("s3://bucket/key", tmp_path / "file")
        server.shutdown()
    assert raised.value.retryable
    assert not (tmp_path / "file").exists()
