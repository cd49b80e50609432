"""The one-node cluster with the operator, S3 and the quickstart's base model, as `make demo` deploys them."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev"))  # its modules import each other from there

from base_model import make_base_model  # noqa: E402
from deployment import (  # noqa: E402
    Cluster,
    aws_environment,
    connected,
    deploy_storage,
    install_operator,
)
from quickstart import base_uri  # noqa: E402

from deepcoder_data.store import ObjectStore  # noqa: E402
from tests.e2e.resources import Resources  # noqa: E402


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The clone's cluster; `make e2e` has brought it up and pushed the images. The first part of it to come deploys."""
    cluster = connected()
    with (ROOT / "build" / "e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_operator(cluster)
        keys = deploy_storage(cluster)
        with aws_environment(keys):
            make_base_model(cluster, 0, base_uri(0))
    with aws_environment(keys):
        yield cluster


@pytest.fixture(scope="session")
def store(cluster: Cluster) -> ObjectStore:
    """The demo's S3, seen from this machine."""
    return ObjectStore(cluster.s3_endpoint, "us-east-1")


@pytest.fixture(scope="module")
def resources(cluster: Cluster) -> Iterator[Resources]:
    """Resources on the cluster; what a module of tests made is deleted at its end."""
    made = Resources(cluster)
    yield made
    made.delete_all()
