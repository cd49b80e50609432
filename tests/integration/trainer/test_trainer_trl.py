"""Every preset's loss against TRL's own: GRPOTrainer._compute_loss, with the log-probabilities given.

Here and not among the unit tests because importing TRL's trainer imports vLLM, which takes half a minute.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets import PRESETS
from tests.unit.trainer.preset_losses import Answer, batch_for, preset_loss, random_answers

LIMIT = 10
# What TRL's documentation (paper_index) sets for each paper. rllm-release is no loss type of TRL's.
SETTINGS: dict[Preset, dict[str, Any]] = {
    "grpo": {"loss_type": "grpo", "epsilon": 0.2},
    "grpo-plus": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, "mask_truncated_completions": True},
    "dr-grpo": {"loss_type": "dr_grpo", "epsilon": 0.2},
    "dapo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28},
    "gspo": {
        "loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4,
    },
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
}  # fmt: skip


class Loss(GRPOTrainer):
    """TRL's trainer without model and data: what its loss reads, and nothing else."""

    def __init__(self, folder: Path, current: Tensor, **settings: Any) -> None:
        self.args = GRPOConfig(
            output_dir=str(folder), use_cpu=True, bf16=False, report_to=[], beta=0.0, max_completion_length=LIMIT,
            **settings,
        )  # fmt: skip
        for name in ("loss_type", "beta", "importance_sampling_level", "max_completion_length"):
            setattr(self, name, getattr(self.args, name))
        self.epsilon_low = self.args.epsilon
        self.epsilon_high = self.args.epsilon if self.args.epsilon_high is None else self.args.epsilon_high
        self.top_entropy_quantile, self.off_policy_mask_threshold = 1.0, None
        self.use_vllm = self.vllm_importance_sampling_correction = True
        self.aux_loss_enabled = self._entropy_bonus_enabled = False
        self.accelerator, self.current_gradient_accumulation_steps = Accelerator(cpu=True), 1
        self.model = SimpleNamespace(training=True)
        self._metrics = {"train": defaultdict(list)}
        self.current = current

    def _get_per_token_logps_and_entropies(self, *_: Any, **__: Any) -> tuple[Tensor, Tensor, None]:
        return self.current, torch.zeros_like(self.current), None


def padded(answers: list[Answer], policy: str) -> Tensor:
    """[answers, LIMIT] log-probabilities, zero after the end."""
    rows = torch.zeros(len(answers), LIMIT, dtype=torch.float64)
    for row, answer in enumerate(answers):
        values = torch.tensor(getattr(answer, policy), dtype=torch.float64)
        rows[row, : len(values)] = values.log()
    return rows


def trl_loss(folder: Path, preset: Preset, answers: list[Answer], current: Tensor) -> tuple[Tensor, Loss]:
    """The loss of all answers as one batch of TRL's."""
    trainer = Loss(folder, current, **SETTINGS[preset])
    proximal, sampler = padded(answers, "proximal"), padded(answers, "sampler")
    mask = (sampler != 0).double()
    if trainer.args.mask_truncated_completions:
        mask = mask * ~torch.tensor([answer.truncated for answer in answers])[:, None]
    advantages = batch_for(answers, PRESETS[preset], LIMIT).advantages
    prompt = torch.ones(len(answers), 1, dtype=torch.int64)
    inputs = {
        "prompt_ids": prompt,
        "prompt_mask": prompt,
        "completion_ids": torch.ones(mask.shape, dtype=torch.int64),
        "completion_mask": mask,
        "advantages": torch.from_numpy(advantages).double(),
        "old_per_token_logps": proximal,
        "importance_sampling_ratio": (proximal - sampler).exp().clamp(max=2.0),
        "num_items_in_batch": mask.sum(),
    }
    return trainer._compute_loss(None, inputs), trainer


@pytest.mark.parametrize("preset", SETTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_trls(tmp_path: Path, preset: Preset, seed: int) -> None:
    """Ratios on both sides of every clip, truncated answers among them, one microbatch."""
    answers = random_answers(seed, LIMIT)
    current = padded(answers, "current").requires_grad_()
    expected, trainer = trl_loss(tmp_path, preset, answers, current)
    expected.backward()
    loss, gradients = preset_loss(answers, PRESETS[preset], limit=LIMIT)
    assert loss == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert current.grad is not None
    for row, answer in enumerate(answers):
        of_trl = current.grad[row, : len(answer.current)].tolist()
        assert gradients[row] == pytest.approx(of_trl, rel=1e-4, abs=1e-7)
    clipped = trainer._metrics["train"]
    assert preset == "cispo" or max(clipped["clip_ratio/low_mean"] + clipped["clip_ratio/high_mean"]) > 0


def test_every_preset_but_rllms_has_its_like_in_trl() -> None:
    """A new preset belongs in the table above."""
    assert set(SETTINGS) == set(PRESETS) - {"rllm-release"}
