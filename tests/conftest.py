"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# An example that is slow on a busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
