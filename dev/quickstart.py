"""The documents of examples/quickstart for a seed, and what became of them on the cluster. No waiting here."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment import BUCKET, ROOT, Cluster

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.yaml_text import load_documents
from deepcoder_data.folders import DamagedError, download_folder
from deepcoder_data.store import ObjectStore

FOLDER = ROOT / "examples" / "quickstart"
FIRST_SEED_FOLDER = "base-0"
Document = dict[str, Any]


@dataclass(frozen=True)
class Quickstart:
    """An evaluation, the run, and an evaluation of what the run made."""

    seed: int
    before: Document
    run: Document
    after: Document

    @property
    def documents(self) -> list[Document]:
        """All three, in the order in which they are applied."""
        return [self.before, self.run, self.after]


def base_uri(seed: int) -> str:
    """Where the base model of a seed and the problems lie."""
    return f"s3://{BUCKET}/quickstart/base-{seed}"


def quickstart(seed: int, folder: Path = FOLDER) -> Quickstart:
    """The example's documents; another seed has its own names, base model and sampling seed. Raises ValueError."""
    files = sorted(folder.glob("*.yaml"))
    documents = [_for_seed(document, seed) for file in files for document in load_documents(file.read_text())]
    runs = [document for document in documents if document["kind"] == "TrainingRun"]
    evaluations = [document for document in documents if document["kind"] == "Evaluation"]
    after = [document for document in evaluations if "trainingRun" in document["spec"]["model"]]
    before = [document for document in evaluations if document not in after]
    if [len(runs), len(before), len(after)] != [1, 1, 1]:
        raise ValueError(f"{folder} must hold one TrainingRun, and an Evaluation before and one after it")
    return Quickstart(seed, before[0], runs[0], after[0])


def score(evaluation: Document) -> tuple[float, int]:
    """pass@1 and the number of problems that an ended Evaluation tells."""
    first = evaluation["status"]["scores"][0]
    return first["passAt1"], first["problems"]


def checkpoint_facts(cluster: Cluster, run: Document) -> Document:
    """The run's last checkpoint, fetched whole and held against its checksums."""
    store, uri = ObjectStore(cluster.s3_endpoint, "us-east-1"), run["status"]["lastCheckpoint"]["uri"]
    with tempfile.TemporaryDirectory(prefix="deepcoder-checkpoint-") as folder:
        try:
            completion = download_folder(store, uri, Path(folder))
        except DamagedError:
            return {"uri": uri, "files": 0, "bytes": 0, "verified": False}
    return {"uri": uri, "files": len(completion.files), "bytes": completion.total_bytes, "verified": True}


def sandbox_kernel(cluster: Cluster, evaluation: Document) -> str:
    """The kernel under the sandbox, as its canary saw it from inside."""
    content = ObjectStore(cluster.s3_endpoint, "us-east-1").get_bytes(evaluation["status"]["report"])
    return EvaluationReport.model_validate_json(content).grader.isolation


def _for_seed(document: Document, seed: int) -> Document:
    if seed == 0:
        return document
    changed = json.loads(json.dumps(document).replace(f"/{FIRST_SEED_FOLDER}/", f"/base-{seed}/"))
    changed["metadata"]["name"] += f"-seed-{seed}"
    source = changed["spec"]["model"].get("trainingRun")
    if source is not None:
        source["name"] += f"-seed-{seed}"
    if changed["kind"] == "TrainingRun":
        changed["spec"].setdefault("algorithm", {}).setdefault("sampling", {})["seed"] = seed
    return changed
