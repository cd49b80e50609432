"""What makes a model, as far as names of files tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepcoder_data.models import MODEL_PATTERNS, file_of_model, matching, missing_shards, model_directory, model_faults
from deepcoder_data.store import ObjectMissingError

WHOLE = ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        (WHOLE, []),
        ([*WHOLE, "pytorch_model.bin", "original/consolidated.pth"], []),
        (["config.json", "model-00001-of-00002.safetensors", "tokenizer.model"], []),
        (["config.json", "model.safetensors", "vocab.json", "merges.txt"], []),
        (["model.safetensors", "tokenizer.json"], ["no config.json"]),
        (["config.json", "tokenizer.json"], ["no *.safetensors"]),
        (["config.json", "model.safetensors"], ["no tokenizer.json, tokenizer.model or vocab.json"]),
        (
            ["config.json", "pytorch_model.bin", "tokenizer.json"],
            ["no *.safetensors (pytorch_model.bin is a pickle, which is never loaded: convert it to safetensors)"],
        ),
        (
            [f"nested/{name}" for name in WHOLE],
            ["no config.json", "no *.safetensors", "no tokenizer.json, tokenizer.model or vocab.json"],
        ),
    ],
)
def test_a_folder_lacks_what_it_lacks(names: list[str], faults: list[str]) -> None:
    """Every missing part is named at once; files of subfolders do not count."""
    assert model_faults(names) == faults


def test_shards_of_the_index_must_be_there() -> None:
    """An upload that was broken off shows before the trainer starts."""
    index = json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}}).encode()

    assert missing_shards(index, ["1.safetensors"]) == ["2.safetensors"]
    assert missing_shards(index, ["1.safetensors", "2.safetensors"]) == []


@pytest.mark.parametrize("index", [b"{", b"{}", b'{"weight_map": 3}'])
def test_a_bad_index_is_refused(index: bytes) -> None:
    """It is a ValueError, which the check turns into a sentence."""
    with pytest.raises(ValueError):  # noqa: PT011 - json's and ours
        missing_shards(index, [])


def test_code_and_pickles_are_never_fetched() -> None:
    """Of a repository only what is needed and harmless comes."""
    names = [
        *WHOLE,
        "modeling_evil.py",
        "pytorch_model.bin",
        "rng.pt",
        "README.md",
        "chat_template.jinja",
        "x/config.json",
    ]

    assert matching(names, MODEL_PATTERNS) == ["chat_template.jinja", *WHOLE]


def test_a_claim_is_never_left(tmp_path: Path) -> None:
    """Neither .. nor a link leads out of the claim."""
    claim = tmp_path / "claim"
    (claim / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (claim / "link").symlink_to(tmp_path / "secret")

    assert model_directory("pvc://name/models/tiny", claim) == claim / "models" / "tiny"
    assert model_directory("pvc://name", claim) == claim
    for path in ("../secret", "link", "%2e%2e/secret"):
        with pytest.raises(ObjectMissingError, match="leaves the claim"):
            model_directory(f"pvc://name/{path}", claim)
    with pytest.raises(ObjectMissingError, match="no such folder"):
        model_directory("pvc://name/models/other", claim)


@pytest.mark.parametrize(
    ("uri", "revision", "file"),
    [
        ("s3://b/model/", None, "s3://b/model/x.json"),
        ("file:///models/tiny", None, "file:///models/tiny/x.json"),
        ("hf://org/name", None, "hf://org/name/x.json"),
        ("hf://org/name", "v1", "hf://org/name@v1/x.json"),
        ("hf://org/name@v2", "v1", "hf://org/name@v2/x.json"),
    ],
)
def test_a_file_of_a_model_is_of_the_models_revision(tmp_path: Path, uri: str, revision: str | None, file: str) -> None:
    """What is looked into is what will be fetched."""
    assert file_of_model(uri, "x.json", revision, tmp_path) == file
