"""A store on the session's S3 server, a model's folder, and a server that speaks the hub's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepcoder_data.store import ObjectStore
from tests.hub_server import HubServer, running_hub_server
from tests.model_folders import write_model_folder
from tests.s3_server import S3Server


@pytest.fixture
def store(s3: S3Server) -> ObjectStore:
    """The session's S3 server, spoken to with a key that may do everything."""
    return s3.store()


@pytest.fixture
def folder(bucket: str) -> str:
    """An s3:// folder of the test's own."""
    return f"s3://{bucket}/prefix"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in a model's folder. Read it only."""
    return write_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A server that speaks the hub's protocol, with no repositories yet."""
    with running_hub_server(tmp_path / "hub") as server:
        yield server
