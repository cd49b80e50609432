"""A model's config.json, wherever the model lies; no weights are fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepcoder_api.processes import CLAIM_DIRECTORY
from deepcoder_data.files import local_file
from deepcoder_data.models import CONFIG, file_of_model
from deepcoder_data.store import ObjectStore


class ModelConfigError(ValueError):
    """A config.json that is not a JSON object. Reading it again gives the same."""


def read_model_config(
    store: ObjectStore, uri: str, revision: str | None = None, claim: Path = Path(CLAIM_DIRECTORY)
) -> dict[str, Any]:
    """The config.json of the model at `uri`. Raises StoreError, ModelConfigError."""
    with local_file(store, file_of_model(uri, CONFIG, revision, claim)) as file:
        return parse_model_config(file.read_bytes())


def parse_model_config(content: bytes) -> dict[str, Any]:
    """The object that a config.json holds. Raises ModelConfigError."""
    try:
        config = json.loads(content)
    except ValueError as error:
        raise ModelConfigError(f"{CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ModelConfigError(f"{CONFIG} is not a JSON object")
    return config
