"""Builders of what the orchestrator's tests work on."""

from __future__ import annotations

from typing import Any

from deepcoder_api.grading import Verdict
from deepcoder_trainer.samples import Sample


def sample(**changes: Any) -> Sample:
    """A sample with three answer tokens; log-probabilities are float32 values."""
    values: dict[str, Any] = {
        "problem_id": "a",
        "prompt": "<|im_start|>user\nAdd.<|im_end|>\n",
        "answer": "```python\nprint(1)\n```",
        "prompt_ids": (5, 6),
        "answer_ids": (7, 8, 2),
        "log_probabilities": (-0.5, -1.25, -0.0078125),
        "versions": (4, 4, 4),
        "finish_reason": "stop",
        "verdict": Verdict.ACCEPTED,
        "test_verdicts": (Verdict.ACCEPTED, Verdict.ACCEPTED),
        "reward": 1.0,
        "group": 0,
        "advantage": 0.1 + 0.2,
        "epoch": 0,
    }
    return Sample(**{**values, **changes})
