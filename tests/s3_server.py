"""A real S3 server as a process of the test session: SeaweedFS, with keys that it asks for."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deepcoder_api.specification import StorageSpec
from deepcoder_data.store import ObjectStore

READY_SECONDS = 90.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1
ACCESS_KEY = "tester"
READER_KEY = "reader"
SECRET_KEY = "not-a-secret"
WEED = Path(sys.executable).parent / "weed"
_PORTS = ("master", "volume", "filer", "s3")
_LOG_LINES = 15


class S3ServerError(Exception):
    """The server did not become ready. The message ends with the last lines of its log."""


@dataclass(frozen=True)
class S3Server:
    """A running server. Whoever has ACCESS_KEY may do everything, READER_KEY may only read; both have SECRET_KEY."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that may do everything."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def storage(self, uri: str, **changes: object) -> StorageSpec:
        """A specification of storage on this server."""
        return StorageSpec(uri=uri, endpoint=self.endpoint).model_copy(update=changes)

    def store(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> ObjectStore:
        """A store that signs with the key given."""
        return ObjectStore(self.endpoint, "us-east-1", access_key=access_key, secret_key=secret_key)

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        _client(self.endpoint).create_bucket(Bucket=name)


@contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """Start the server, wait until it has taken an object, and take it away at the end. Raises S3ServerError."""
    if not WEED.exists():
        raise S3ServerError(f"{WEED} is not there; `make environment` installs it")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deepcoder-s3-")))
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        process = _start(folder, ports)
        stack.callback(_end, process)
        server = S3Server(f"http://127.0.0.1:{ports['s3']}")
        _await_ready(server, process, folder)
        yield server


def _start(folder: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    keys = {ACCESS_KEY: ["Admin", "Read", "Write", "List", "Tagging"], READER_KEY: ["Read", "List"]}
    identities = [
        {"name": key, "actions": actions, "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}]}
        for key, actions in keys.items()
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    data = folder / "data"
    data.mkdir()
    grpc = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    # Every bucket takes several volumes of its own; without a free one a put is an internal error.
    command = [
        *(str(WEED), f"-logdir={folder}", "server", f"-dir={data}", "-s3", f"-s3.config={folder}/identities.json"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=1000", "-master.volumeSizeLimitMB=64"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder}/s3.sock"),
        *(f"-{role}.port={port}" for role, port in ports.items()),
        *(f"-{role}.port.grpc={port}" for role, port in grpc.items()),
    ]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _await_ready(server: S3Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline, reason = time.monotonic() + READY_SECONDS, "no answer"
    client = _client(server.endpoint)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return
        except (BotoCoreError, ClientError) as error:
            reason = str(error)
        time.sleep(POLL_SECONDS)
    tail = "\n".join((folder / "server.log").read_text(errors="replace").splitlines()[-_LOG_LINES:])
    raise S3ServerError(f"the S3 server is not ready ({reason}, exit status {process.poll()}):\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_SECONDS)


def _client(endpoint: str) -> Any:
    config = Config(
        region_name="us-east-1",
        connect_timeout=2,
        read_timeout=10,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    return boto3.client(
        "s3", endpoint_url=endpoint, config=config, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY
    )


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
