"""A model's folder in the Hugging Face layout: its weights by name, in shards of bounded size, and what lies beside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

SHARD_BYTES = 2 * 1024**3
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_BESIDE = {".json", ".txt", ".jinja", ".model", ".tiktoken"}
_NOT_BESIDE = {INDEX, "complete.json", "pytorch_model.bin.index.json"}


class ModelFilesError(ValueError):
    """A folder that is no model of ours. Reading it again gives the same."""


class WeightFiles:
    """The weights of a folder, read one at a time. Raises ModelFilesError when there is no safetensors file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file_of: dict[str, str] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                self._file_of |= dict.fromkeys(file.keys(), path.name)
        if not self._file_of:
            raise ModelFilesError(f"{folder} holds no *.safetensors; convert the model's weights to safetensors first")

    @property
    def names(self) -> frozenset[str]:
        """Names of all weights."""
        return frozenset(self._file_of)

    def read(self, name: str) -> Tensor:
        """The weight `name`, on the CPU, in its stored precision. Raises ModelFilesError when it is not there."""
        if name not in self._file_of:
            raise ModelFilesError(f"{self._folder} has no weight {name!r}, which the model's architecture has")
        with safe_open(self._folder / self._file_of[name], framework="pt") as file:
            return file.get_tensor(name)


def shards(sizes: Mapping[str, int], limit: int = SHARD_BYTES) -> list[list[str]]:
    """Names in their order, cut into runs of at most `limit` bytes; a weight above the limit has one of its own."""
    runs: list[list[str]] = []
    filled = 0
    for name, size in sizes.items():
        if not runs or filled + size > limit:
            runs.append([])
            filled = 0
        runs[-1].append(name)
        filled += size
    return runs


def shard_names(stem: str, count: int) -> list[str]:
    """File names of `count` shards: `stem`.safetensors when there is one, else numbered as transformers does."""
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{index:05d}-of-{count:05d}.safetensors" for index in range(1, count + 1)]


def write_index(folder: Path, runs: Sequence[Sequence[str]], total_bytes: int) -> None:
    """The index that transformers and vLLM find the shards by; none is needed for one shard."""
    if len(runs) > 1:
        files = shard_names("model", len(runs))
        weight_map = {name: file for file, run in zip(files, runs, strict=True) for name in run}
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True))


def copy_beside(source: Path, target: Path, dtype: str) -> None:
    """Copy configs, tokenizer and chat template from `source`; config.json says `dtype`, which the weights now have."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.suffix in _BESIDE and path.name not in _NOT_BESIDE and path.is_file():
            shutil.copyfile(path, target / path.name)
    config = json.loads((source / "config.json").read_text())
    config.pop("torch_dtype", None)
    (target / "config.json").write_text(json.dumps(config | {"dtype": dtype}, indent=2) + "\n")
