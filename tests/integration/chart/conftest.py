"""A bare control plane for the chart, which brings its own CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.control_plane import running_control_plane
from tests.integration.chart.helm_releases import Helm


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    """helm against a control plane that has nothing of ours."""
    with running_control_plane(crds=None) as plane:
        yield Helm(plane)
