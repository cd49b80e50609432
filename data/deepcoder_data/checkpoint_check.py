"""Whether another run's checkpoint is one that a run can begin with: whole, and of a model of the same shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import structlog

from deepcoder_api.processes import CLAIM_DIRECTORY
from deepcoder_api.specification import ModelSource, StorageSpec
from deepcoder_data.causes import cause, failure
from deepcoder_data.files import local_file
from deepcoder_data.folders import read_completion
from deepcoder_data.model_config import ModelConfigError, parse_model_config
from deepcoder_data.models import CONFIG, file_of_model, matching
from deepcoder_data.store import ObjectStore, StoreError
from deepcoder_data.termination import PermanentError

FIELD = "spec.resumeFrom.uri"
SHAPE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
)
"""Values of a config.json that weights and moments have their names and shapes from."""
log = structlog.get_logger("checks")


def check_checkpoint(
    store: ObjectStore, storage: StorageSpec, uri: str, model: ModelSource, claim: Path = Path(CLAIM_DIRECTORY)
) -> None:
    """The checkpoint at `uri` is complete, and fits `model`. Nothing but two config.json is fetched.

    Raises PermanentError that names the field, or RetryableError where another try can help.
    """
    try:
        completion = read_completion(store, uri)
    except StoreError as error:
        raise failure(error, FIELD, uri, storage, "CheckpointNotFound") from error
    if completion is None:
        said = "there is no complete checkpoint: no complete.json (give its folder, …/checkpoints/step-N)"
        raise PermanentError("CheckpointNotFound", cause(FIELD, uri, said))
    if missing := checkpoint_faults([file.path for file in completion.files]):
        raise PermanentError("CheckpointNotFound", cause(FIELD, uri, f"this is no checkpoint: {', '.join(missing)}"))
    there = _config(store, storage, f"{uri}/model/{CONFIG}", FIELD, uri)
    at = file_of_model(model.uri, CONFIG, model.revision, claim)
    differing = shape_differences(there, _config(store, storage, at, "spec.model.uri", model.uri))
    if differing:
        said = f"its shape is not that of spec.model ({model.uri}): {'; '.join(differing)}"
        raise PermanentError("CheckpointDoesNotFit", cause(FIELD, uri, said))
    log.info("checkpoint is there", uri=uri, bytes=completion.total_bytes)


def checkpoint_faults(paths: Collection[str]) -> list[str]:
    """What a completed folder with these files lacks to be a checkpoint. Pure."""
    state = [path.removeprefix("state/") for path in paths if path.startswith("state/")]
    needed = {
        "state.json": "state.json" in paths,
        "state/trainer.json": "trainer.json" in state,
        "state/optimizer*.safetensors": bool(matching(state, ("optimizer*.safetensors",))),
        f"model/{CONFIG}": f"model/{CONFIG}" in paths,
    }
    return [f"no {name}" for name, there in needed.items() if not there]


def shape_differences(checkpoint: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """The values of SHAPE in which two config.json differ, for people. Pure."""
    return [
        f"{name} is {checkpoint.get(name)!r} in the checkpoint and {model.get(name)!r} in the model"
        for name in SHAPE
        if checkpoint.get(name) != model.get(name)
    ]


def _config(store: ObjectStore, storage: StorageSpec, at: str, field: str, value: str) -> dict[str, Any]:
    try:
        with local_file(store, at) as file:
            return parse_model_config(file.read_bytes())
    except StoreError as error:
        raise failure(error, field, value, storage, "ModelNotFound") from error
    except ModelConfigError as error:
        raise PermanentError("ModelInvalid", cause(field, value, str(error))) from error
