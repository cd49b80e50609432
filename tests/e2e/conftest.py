"""The one-node cluster with the operator, S3 and the quickstart's base model, as `make demo` deploys them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev"))  # its modules import each other from there

from deployment import (  # noqa: E402
    Cluster,
    aws_environment,
    connected,
    deploy_storage,
    install_operator,
    make_base_model,
)
from quickstart import base_uri  # noqa: E402

from deepcoder_data.store import ObjectStore  # noqa: E402
from tests.e2e.resources import Resources  # noqa: E402


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The clone's cluster; `make e2e` has brought it up and pushed the images."""
    cluster = connected()
    install_operator(cluster)
    with aws_environment(deploy_storage(cluster)):
        make_base_model(cluster, 0, base_uri(0))
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
