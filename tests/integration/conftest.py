"""Real parts that several folders of integration tests share, each started once for the whole session."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from deepcoder_data.store import ObjectStore
from tests.control_plane import ControlPlane, running_control_plane
from tests.s3_server import S3Server, running_s3_server


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd, the API server and its controllers, with our CustomResourceDefinitions."""
    with running_control_plane() as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server with keys."""
    with running_s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A bucket of the test's own, by name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.make_bucket(name)
    return name


@pytest.fixture
def store_of_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The S3 server, whose keys are in the environment, where our processes look for them."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.store()
