"""Files and folders of manifests read from disk, with every fault of every document said at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepcoder_api.manifest import (
    EvaluationResource,
    ManifestError,
    TrainingRunResource,
    parse_resource,
    read_documents,
)

OWN_GROUP = "deepcoder.dev/"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one document of one file."""

    file: Path
    resource: str
    text: str


@dataclass(frozen=True)
class Manifests:
    """The resources of ours that were read, in order, and what was wrong."""

    resources: tuple[TrainingRunResource | EvaluationResource, ...]
    faults: tuple[Fault, ...]
    skipped: int


def read_manifests(paths: list[Path]) -> Manifests:
    """Every TrainingRun and Evaluation in the files, and in the *.yaml of the folders, in the order of their names.

    Documents of other groups are counted as skipped. Raises FileNotFoundError for a path that is not there.
    """
    resources: list[TrainingRunResource | EvaluationResource] = []
    faults: list[Fault] = []
    skipped = 0
    for file in _files(paths):
        try:
            documents = read_documents(file.read_text())
        except ManifestError as error:
            faults += [Fault(file, "-", str(problem)) for problem in error.problems]
            continue
        for document in documents:
            if not str(document.get("apiVersion", "")).startswith(OWN_GROUP):
                skipped += 1
                continue
            try:
                resources.append(parse_resource(document))
            except ManifestError as error:
                faults += [Fault(file, _title(document), str(problem)) for problem in error.problems]
    return Manifests(tuple(resources), tuple(faults), skipped)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
        elif path.exists():
            files.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    return files


def _title(document: dict[str, object]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{document.get('kind', '?')}/{name or '?'}"
