"""Models in the Hugging Face layout, wherever they lie: which files make one, and what is there without fetching it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from deepcoder_api.artifacts import COMPLETE, Completion
from deepcoder_api.processes import CLAIM_DIRECTORY
from deepcoder_data.files import local_path
from deepcoder_data.folders import read_completion
from deepcoder_data.hub import SCHEME as HUB
from deepcoder_data.hub import hub_commit, hub_files, hub_location
from deepcoder_data.store import ObjectMissingError, ObjectStore

CONFIG = "config.json"
TOKENIZER_PATTERNS = (
    *("tokenizer*", "vocab.*", "merges.txt", "*.model", "*.tiktoken"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template*"),
)
MODEL_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
"""What is fetched of a repository: never pickles, never code."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "*.tiktoken")
_CHECKPOINT = re.compile(r"/checkpoints/step-\d+$")


@dataclass(frozen=True)
class StoredModel:
    """A model in S3. With a completion its files are those of `root` whose paths start with `under`."""

    root: str
    under: str
    completion: Completion | None


def stored_model(store: ObjectStore, uri: str) -> StoredModel:
    """Where the marker of a model in S3 is: beside it, or beside the checkpoint that it is a part of, or nowhere.

    Raises ObjectMissingError for the model of a checkpoint that was never completed, and StoreError.
    """
    uri = uri.rstrip("/")
    completion = read_completion(store, uri)
    if completion is not None:
        return StoredModel(uri, "", completion)
    parent, _, name = uri.rpartition("/")
    if parent.count("/") < 3:  # the bucket itself
        return StoredModel(uri, "", None)
    completion = read_completion(store, parent)
    if completion is not None and any(file.path.startswith(f"{name}/") for file in completion.files):
        return StoredModel(parent, f"{name}/", completion)
    if _CHECKPOINT.search(parent):
        raise ObjectMissingError(f"the checkpoint {parent} is not complete: it has no {COMPLETE} that names {name}/")
    return StoredModel(uri, "", None)


def model_files(
    store: ObjectStore, uri: str, revision: str | None = None, claim: Path = Path(CLAIM_DIRECTORY)
) -> dict[str, int]:
    """Bytes of each file of a model, by its path in the model's folder; nothing is fetched. Raises StoreError."""
    if uri.startswith(HUB):
        return hub_files(uri, revision)
    if not uri.startswith("s3://"):
        folder = model_directory(uri, claim)
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}
    model = stored_model(store, uri)
    if model.completion is not None:
        files = ((file.path, file.bytes) for file in model.completion.files)
        return {path.removeprefix(model.under): size for path, size in files if path.startswith(model.under)}
    return {entry.uri.removeprefix(f"{model.root}/"): entry.bytes for entry in store.list(model.root)}


def model_directory(uri: str, claim: Path) -> Path:
    """The folder of a file:// or pvc:// model on this machine, `claim` being where its claim is mounted.

    Raises ObjectMissingError when it is not there or is not inside the claim.
    """
    if uri.startswith("file://"):
        return local_path(uri, directory=True)
    folder = claim / unquote(uri.removeprefix("pvc://").partition("/")[2]).strip("/")
    if not folder.resolve().is_relative_to(claim.resolve()):
        raise ObjectMissingError(f"{uri}: the path leaves the claim")
    if not folder.is_dir():
        raise ObjectMissingError(f"{uri}: the claim has no such folder")
    return folder


def file_of_model(uri: str, name: str, revision: str | None, claim: Path) -> str:
    """The URI of one file of a model, by which its content can be read. Raises ObjectMissingError."""
    if uri.startswith("pvc://"):
        return (model_directory(uri, claim) / name).as_uri()
    if uri.startswith(HUB):
        at = hub_location(uri, revision)
        return f"{HUB}{at.repository}{f'@{at.revision}' if at.revision else ''}/{name}"
    return f"{uri.rstrip('/')}/{name}"


def model_faults(names: Collection[str]) -> list[str]:
    """What a folder with these files lacks to be a model that can be trained and served. Pure."""
    top = [name for name in names if "/" not in name]
    faults: list[str] = []
    if CONFIG not in top:
        faults.append(f"no {CONFIG}")
    if not matching(top, ("*.safetensors",)):
        pickles = matching(top, ("*.bin", "*.pt", "*.pth"))
        faults.append(
            "no *.safetensors"
            + (f" ({pickles[0]} is a pickle, which is never loaded: convert it to safetensors)" if pickles else "")
        )
    if not matching(top, _TOKENIZERS):
        faults.append("no tokenizer.json, tokenizer.model or vocab.json")
    return faults


def missing_shards(index: bytes, names: Collection[str]) -> list[str]:
    """Files that a model.safetensors.index.json names and that are not there. Raises ValueError for a bad index."""
    weights = json.loads(index).get("weight_map")
    if not isinstance(weights, dict):
        raise ValueError("has no weight_map")
    return sorted(set(map(str, weights.values())) - set(names))


def matching(names: Collection[str], patterns: Collection[str]) -> list[str]:
    """The files of the folder itself that match a pattern, in order."""
    return sorted(
        name
        for name in names
        if len(PurePosixPath(name).parts) == 1 and any(fnmatch(name, pattern) for pattern in patterns)
    )


def model_digest(store: ObjectStore, uri: str) -> str | None:
    """What tells this model from any other: of its checksums, its ETags, or its commit; None for a local folder.

    Raises StoreError.
    """
    if uri.startswith(HUB):
        return f"commit:{hub_commit(uri)}"
    if not uri.startswith("s3://"):
        return None
    model = stored_model(store, uri)
    if model.completion is not None:
        kind = "sha256"
        files = ((file.path, file.sha256) for file in model.completion.files)
        parts = [(path.removeprefix(model.under), digest) for path, digest in files if path.startswith(model.under)]
    else:
        kind = "etags"
        parts = [(entry.uri.removeprefix(f"{model.root}/"), entry.etag) for entry in store.list(model.root)]
    if not parts:
        return None
    return f"{kind}:{hashlib.sha256(json.dumps(sorted(parts)).encode()).hexdigest()}"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
