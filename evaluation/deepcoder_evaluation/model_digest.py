"""The digest by which a report names the model that it measured."""

from __future__ import annotations

from deepcoder_data.models import model_digest

__all__ = ["model_digest"]
