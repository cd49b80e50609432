"""The documents of examples/ablations and the quickstart, for a seed and for fewer steps. Pure but for reading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.trainer.runs import QUICKSTART
from deepcoder_api.yaml_text import load_documents

ABLATIONS = ROOT / "examples" / "ablations"
GRPO_PLUS = "grpo-plus"
SEED_FOLDER = "base-{seed}"
BUCKET = "deepcoder"
BASE_URI = f"s3://{BUCKET}/quickstart/{SEED_FOLDER}"
Document = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One curve of the plot: a name and its TrainingRun, as the file has it."""

    name: str
    document: Document

    @property
    def steps(self) -> int:
        """Of all its stages."""
        return sum(stage["steps"] for stage in self.document["spec"]["stages"])


def variants(folder: Path = ABLATIONS, quickstart: Path = QUICKSTART) -> list[Variant]:
    """GRPO+ itself, then the others by their names. Raises ValueError for a file that holds more than one run."""
    files = {
        GRPO_PLUS: quickstart / "20-trainingrun.yaml",
        **{file.stem: file for file in sorted(folder.glob("*.yaml"))},
    }
    found = []
    for name, file in files.items():
        documents = load_documents(file.read_text())
        if [document["kind"] for document in documents] != ["TrainingRun"]:
            raise ValueError(f"{file} must hold one TrainingRun and nothing else")
        found.append(Variant(name, documents[0]))
    return found


def documents(variant: Variant, seed: int, steps: int) -> tuple[Document, Document]:
    """The run with `seed` in `steps` steps, and the quickstart's evaluation of what it made."""
    run = _with_base(variant.document, seed)
    run["spec"]["algorithm"]["sampling"]["seed"] = seed
    _shorten(run["spec"]["stages"], steps)
    (evaluation,) = load_documents((QUICKSTART / "30-evaluation-after.yaml").read_text())
    evaluation = _with_base(evaluation, seed)
    evaluation["spec"]["model"]["trainingRun"]["name"] = run["metadata"]["name"]
    return run, evaluation


def _shorten(stages: list[Document], steps: int) -> None:
    """In place: each stage's share of the steps, at least one."""
    whole = sum(stage["steps"] for stage in stages)
    if steps < len(stages):
        raise ValueError(f"{steps} steps: the run has {len(stages)} stages, and each needs one")
    left = steps
    for number, stage in enumerate(stages, start=1):
        share = max(1, round(stage["steps"] * steps / whole))
        stage["steps"] = left if number == len(stages) else min(share, left - (len(stages) - number))
        left -= stage["steps"]


def _with_base(document: Document, seed: int) -> Document:
    return json.loads(json.dumps(document).replace("/base-0/", f"/{SEED_FOLDER.format(seed=seed)}/"))
