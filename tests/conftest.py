"""Settings of all tests."""

from __future__ import annotations

import gc

from hypothesis import settings

# An example that is slow on a busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
