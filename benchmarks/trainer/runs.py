"""The runs that are measured: examples/quickstart's TrainingRun with other steps, places and staleness. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.trainer.cores import Cores
from deepcoder_api.resolve import ResolvedRun, resolve_run
from deepcoder_api.training_run import TrainingRunSpec
from deepcoder_api.yaml_text import load_documents

QUICKSTART = ROOT / "examples" / "quickstart"
SECRET = "s3-credentials"
NAMESPACE = "bench"
KEEP_ALL = 10_000


@dataclass(frozen=True)
class Shape:
    """What one measured run differs in. Lengths in tokens."""

    name: str
    steps: int
    seed: int = 0
    max_staleness: int = 0
    checkpoint_every: int = 10
    keep_last: int = 2
    max_response_tokens: int = 64
    cores: Cores | None = None
    data: dict[str, Any] = field(default_factory=dict)
    algorithm: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    rollout: dict[str, Any] = field(default_factory=dict)


def quickstart_run(shape: Shape, *, base: Path, storage: str, endpoint: str) -> ResolvedRun:
    """The quickstart with one stage. `base` holds model/ and training.jsonl; `storage` is an s3:// prefix.

    Nothing starts again after a failure: what is measured would not be what is reported.
    """
    (document,) = load_documents((QUICKSTART / "20-trainingrun.yaml").read_text())
    spec = document["spec"]
    spec["model"] = {"uri": f"file://{base}/model"}
    spec["data"]["sources"][0]["uri"] = f"file://{base}/training.jsonl"
    spec["data"] |= shape.data
    sampling = {**spec["algorithm"]["sampling"], "seed": shape.seed}
    spec["algorithm"] |= {"maxStaleness": shape.max_staleness, "sampling": sampling, **shape.algorithm}
    spec["stages"] = [{"name": "only", "maxResponseTokens": shape.max_response_tokens, "steps": shape.steps}]
    spec["optimizer"] |= shape.optimizer
    spec["rollout"] |= shape.rollout
    spec["checkpoint"] = {"everySteps": shape.checkpoint_every, "keepLast": shape.keep_last}
    spec["storage"] = {"uri": storage, "endpoint": endpoint, "secretName": SECRET}
    spec["failurePolicy"] = {"maxRestarts": 0}
    if shape.cores is not None:
        spec["trainer"]["pod"]["env"] = {"OMP_NUM_THREADS": "1"}
        spec["rollout"]["pod"]["env"] = {
            "VLLM_CPU_OMP_THREADS_BIND": str(shape.cores.generation),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1",  # threads are bound in a worker process of their own alone
        }
    return resolve_run(NAMESPACE, shape.name, uuid.uuid4().hex, TrainingRunSpec.model_validate(spec))
