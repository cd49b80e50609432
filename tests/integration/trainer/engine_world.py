"""Engine jobs carried out by ranks in a folder of their own, and what they leave, for tests to compare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from deepcoder_api.artifacts import FileDigest
from deepcoder_trainer.batch import Batch, read_batch
from tests.integration.trainer.engine_jobs import LEARNING_RATE, Job, write_jobs
from tests.warm_ranks import start_ranks

TEMPERATURE = 0.7
STEPS = 3
ALONE, PACKED = 48, 100_000  # tokens a microbatch: the longest sample has 48
# All computes in fp32 and only the order of sums differs: gradients were seen to agree to 7e-7 of the largest.
GRADIENT_TOLERANCE = 2e-5
# Adam divides a gradient by its own size, so where a gradient is next to nothing its rounding becomes a share of a full
# step (LEARNING_RATE). Seen after three steps: 3.4e-5 at worst, and a millionth of the way gone on average.
WORST_TOLERANCE = LEARNING_RATE / 5
MEAN_TOLERANCE = LEARNING_RATE / 10_000


@dataclass(frozen=True)
class World:
    """The models, the batches, and where each job left its things."""

    root: Path

    def job(self, name: str, *, model: str = "untied", steps: range = range(1, STEPS + 1), **changes) -> Job:
        return Job(
            **{
                "folder": str(self.root / name),
                "model": str(self.root / model),
                "batches": [str(self.root / f"batch-{step}") for step in steps],
                "tokens_per_microbatch": PACKED,
                **changes,
            }
        )

    def launch(self, ranks: int, *jobs: Job) -> None:
        file = self.root / f"jobs-{jobs[0].folder.rpartition('/')[2]}.json"
        write_jobs(list(jobs), file)
        start_ranks(ranks, "tests.integration.trainer.engine_jobs", [str(file)], file.with_suffix(".log")).finish(600)

    def batch(self, step: int) -> Batch:
        return read_batch(self.root / f"batch-{step}")

    def steps(self, name: str) -> list[dict[str, float]]:
        return json.loads((self.root / name / "steps.json").read_text())

    def weights(self, name: str, folder: str = "published") -> dict[str, Tensor]:
        return merged(self.root / name / folder)

    def share(self, name: str, rank: int) -> list[FileDigest]:
        """What a rank published."""
        return [FileDigest(**digest) for digest in json.loads((self.root / name / f"share-{rank}.json").read_text())]

    def state(self, name: str, step: int, kind: str) -> dict[str, Tensor]:
        whole = merged(self.root / name / f"state-{step}", "optimizer*.safetensors")
        return {key.removesuffix(f"/{kind}"): value for key, value in whole.items() if key.endswith(f"/{kind}")}


def merged(folder: Path, pattern: str = "*.safetensors") -> dict[str, Tensor]:
    return {name: tensor for file in sorted(folder.glob(pattern)) for name, tensor in load_file(file).items()}


def apart(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference of any element."""
    assert found.keys() == expected.keys()
    return max(float((found[name].double() - expected[name].double()).abs().max()) for name in expected)


def agree(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether two runs came to the same weights, within both tolerances."""
    gaps = torch.cat([(found[name].double() - expected[name].double()).abs().flatten() for name in expected])
    return found.keys() == expected.keys() and bool(gaps.max() < WORST_TOLERANCE and gaps.mean() < MEAN_TOLERANCE)


def largest(tensors: dict[str, Tensor]) -> float:
    return max(float(tensor.abs().max()) for tensor in tensors.values())
