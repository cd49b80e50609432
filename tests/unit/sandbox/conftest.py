"""A real pool with one slot and a queue of one, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from deepcoder_sandbox.grading_pool import GradingPool


@pytest.fixture(scope="session")
def registry() -> CollectorRegistry:
    """Where the pool's metrics are."""
    return CollectorRegistry()


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory, registry: CollectorRegistry) -> Iterator[GradingPool]:
    """Started, on this machine."""
    scratch = tmp_path_factory.mktemp("scratch")
    pool = GradingPool(workers=1, queue_size=1, scratch=scratch, registry=registry)
    pool.start()
    yield pool
    pool.close()
