"""A model's folder: shards of bounded size, the index, and what is copied beside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from deepcoder_trainer.model_files import (
    INDEX,
    ModelFilesError,
    WeightFiles,
    copy_beside,
    shard_names,
    shards,
    write_index,
)


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 60))
def test_shards_hold_every_weight_in_order_within_the_limit(sizes: list[int], limit: int) -> None:
    """Only a weight that is above the limit by itself makes a shard above it."""
    named = {f"w{index}": size for index, size in enumerate(sizes)}
    runs = shards(named, limit)
    assert [name for run in runs for name in run] == list(named)
    assert all(sum(named[name] for name in run) <= limit or len(run) == 1 for run in runs)


def test_shards_are_named_as_transformers_names_them() -> None:
    """One is model.safetensors, several are numbered from 1."""
    assert shard_names("model", 1) == ["model.safetensors"]
    assert shard_names("model", 2) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_the_index_names_the_file_of_every_weight(tmp_path: Path) -> None:
    """Written for several shards only."""
    write_index(tmp_path, [["a"]], 4)
    assert not (tmp_path / INDEX).exists()
    write_index(tmp_path, [["a", "b"], ["c"]], 12)
    index = json.loads((tmp_path / INDEX).read_text())
    first, second = shard_names("model", 2)
    assert index == {"metadata": {"total_size": 12}, "weight_map": {"a": first, "b": first, "c": second}}


def test_weights_are_read_by_name_from_whichever_file_has_them(tmp_path: Path) -> None:
    """A name that no file has is an error that says where it was looked for."""
    save_file({"a": torch.tensor([1.0])}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.tensor([2.0], dtype=torch.bfloat16)}, tmp_path / "model-00002-of-00002.safetensors")
    files = WeightFiles(tmp_path)
    assert files.names == {"a", "b"}
    assert files.read("b").dtype == torch.bfloat16
    assert files.read("b").item() == 2.0
    with pytest.raises(ModelFilesError, match="no weight 'c'"):
        files.read("c")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    """Pickles are not read: the message says what to do."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelFilesError, match="convert the model's weights to safetensors"):
        WeightFiles(tmp_path)


def test_what_lies_beside_is_copied_but_no_weights_and_no_marker(tmp_path: Path) -> None:
    """Config, tokenizer and template go along; config.json says the precision that the weights now have."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("tokenizer.json", "chat_template.jinja", "vocab.txt", "model.safetensors", INDEX, "complete.json"):
        (source / name).write_text("{}")
    (source / "config.json").write_text(json.dumps({"model_type": "qwen2", "torch_dtype": "bfloat16"}))
    copy_beside(source, target, "float32")
    assert sorted(path.name for path in target.iterdir()) == [
        "chat_template.jinja", "config.json", "tokenizer.json", "vocab.txt",
    ]  # fmt: skip
    assert json.loads((target / "config.json").read_text()) == {"model_type": "qwen2", "dtype": "float32"}
