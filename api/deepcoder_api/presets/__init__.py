"""The algorithm presets: values with their sources, one preset a file, each as what it changes of another."""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets.cispo import CISPO
from deepcoder_api.presets.dapo import DAPO
from deepcoder_api.presets.dr_grpo import DR_GRPO
from deepcoder_api.presets.grpo import GRPO
from deepcoder_api.presets.grpo_plus import GRPO_PLUS
from deepcoder_api.presets.gspo import GSPO
from deepcoder_api.presets.rllm_release import RLLM_RELEASE

__all__ = ["CISPO", "DAPO", "DR_GRPO", "GRPO", "GRPO_PLUS", "GSPO", "PRESETS", "RLLM_RELEASE", "Algorithm"]

PRESETS: dict[Preset, Algorithm] = {
    "grpo-plus": GRPO_PLUS,
    "grpo": GRPO,
    "rllm-release": RLLM_RELEASE,
    "dr-grpo": DR_GRPO,
    "dapo": DAPO,
    "gspo": GSPO,
    "cispo": CISPO,
}
