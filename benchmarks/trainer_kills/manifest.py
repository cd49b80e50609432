"""The TrainingRun that is struck: examples/quickstart's with two trainer pods, few samples a step, many steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trainer.runs import QUICKSTART
from deepcoder_api.yaml_text import load_documents

NAME = "kills"
BUCKET = "kills"
STORAGE = f"s3://{BUCKET}/runs"
PROMPTS, SAMPLES = 4, 4
PROBLEMS = 48  # few, so that a run has several epochs
EVERY_STEPS, KEEP_LAST = 2, 2


@dataclass(frozen=True)
class Shape:
    """What the caller decides."""

    steps: int
    max_staleness: int
    trainers: int
    rollouts: int


def training_run(shape: Shape, base: Path, problems: Path) -> dict[str, Any]:
    """The document. `base` holds model/, `problems` has a problem a line.

    It learns next to nothing, so that the run lasts as long as it must; it starts again as often as it must.
    """
    (document,) = load_documents((QUICKSTART / "20-trainingrun.yaml").read_text())
    document["metadata"]["name"] = NAME
    spec = document["spec"]
    spec["model"] = {"uri": f"file://{base}/model"}
    spec["data"]["sources"][0]["uri"] = f"file://{problems}"
    spec["algorithm"] |= {
        "promptsPerStep": PROMPTS, "samplesPerPrompt": SAMPLES, "maxStaleness": shape.max_staleness,
        "entropyCoefficient": 0.001,  # so that every step changes the weights, whatever its answers are worth
    }  # fmt: skip
    first = shape.steps // 3
    spec["stages"] = [
        {"name": "short", "maxResponseTokens": 46, "steps": first},
        {"name": "long", "maxResponseTokens": 64, "steps": shape.steps - first},
    ]
    spec["optimizer"] = {"learningRate": 1e-6, "schedule": "constant"}
    spec["trainer"]["replicas"] = shape.trainers
    spec["trainer"]["pod"]["env"] = {"OMP_NUM_THREADS": "1"}
    spec["rollout"]["replicas"] = shape.rollouts
    spec["checkpoint"] = {"everySteps": EVERY_STEPS, "keepLast": KEEP_LAST}
    spec["storage"]["uri"] = STORAGE
    spec["failurePolicy"] = {"maxRestarts": 1000}
    return document
