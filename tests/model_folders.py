"""Folders that are laid out as models, with a real tokenizer and weights that nobody looks into."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny_models import write_tokenizer


def write_model_folder(folder: Path, *, weights: bytes = b"weights", shards: int = 1) -> Path:
    """A model's folder as Hugging Face has them, its weights in one file or in shards with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    if shards == 1:
        (folder / "model.safetensors").write_bytes(weights)
        return folder
    names = [f"model-{index:05d}-of-{shards:05d}.safetensors" for index in range(1, shards + 1)]
    for name in names:
        (folder / name).write_bytes(weights)
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder but those whose names begin with a dot."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder), path) for path in files)
    return {
        name.as_posix(): path.read_bytes()
        for name, path in named
        if not any(part.startswith(".") for part in name.parts)
    }
