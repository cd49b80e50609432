"""What makes a completed folder a checkpoint, and whether its model has another's shape."""

from __future__ import annotations

import pytest

from deepcoder_data.checkpoint_check import checkpoint_faults, shape_differences

WHOLE = ("model/config.json", "model/model.safetensors", "state/optimizer.safetensors", "state/trainer.json",
         "state.json")  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "faults"),
    [
        (None, []),
        ("state.json", ["no state.json"]),
        ("state/trainer.json", ["no state/trainer.json"]),
        ("state/optimizer.safetensors", ["no state/optimizer*.safetensors"]),
        ("model/config.json", ["no model/config.json"]),
    ],
)
def test_a_checkpoint_has_a_state_and_a_model(lost: str | None, faults: list[str]) -> None:
    """A dataset, or a model's folder by itself, is complete too."""
    assert checkpoint_faults([path for path in WHOLE if path != lost]) == faults


def test_a_state_in_shards_is_one() -> None:
    """A large optimizer is cut into files."""
    shards = [f"state/optimizer-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert checkpoint_faults([path for path in WHOLE if "optimizer" not in path] + shards) == []


def test_shapes_that_differ_are_told_with_both_values() -> None:
    """Precision, names and what else a config.json has do not matter."""
    config = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 4, "dtype": "bfloat16"}
    assert shape_differences(config, {**config, "dtype": "float32", "transformers_version": "5"}) == []
    other = {**config, "num_hidden_layers": 2, "vocab_size": 512}
    assert shape_differences(config, other) == [
        "vocab_size is None in the checkpoint and 512 in the model",
        "num_hidden_layers is 4 in the checkpoint and 2 in the model",
    ]
