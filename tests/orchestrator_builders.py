"""Builders of what the orchestrator's tests work on."""

from __future__ import annotations

from typing import Any

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.grading import Verdict
from deepcoder_api.presets import GRPO_PLUS
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.rollout import Heartbeat
from deepcoder_trainer.orchestrator.timetable import Timetable
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


def beat(name: str, url: str, version: int) -> Heartbeat:
    """What a ready rollout server of attempt 1 says of itself, all of it at one address."""
    return Heartbeat(
        server=name, generate_url=url, agent_url=url, shards_url=url, node="machine", attempt=1, version=version,
        ready=True,
    )  # fmt: skip


def stage(steps: int = 3, prompts: int = 2, *, limit: int = 64, algorithm: Algorithm = GRPO_PLUS, **changes: Any):
    """A stage of so many steps and prompts a step."""
    values: dict[str, Any] = {
        "name": "short",
        "max_response_tokens": limit,
        "steps": steps,
        "advance_when": None,
        "reset_optimizer": False,
        "tokens_per_microbatch": 256,
        "algorithm": algorithm.model_copy(update={"prompts_per_step": prompts}),
    }
    return ResolvedStage(**{**values, **changes})


def timetable(*stages: tuple[int, int], max_draws: int = 1) -> Timetable:
    """A timetable of stages given as (steps, prompts a step), that draw at most so many problems for each prompt."""
    algorithm = GRPO_PLUS.model_copy(update={"max_draws_per_prompt": max_draws})
    return Timetable.planned(
        [stage(steps, prompts, algorithm=algorithm, name=f"stage-{n}") for n, (steps, prompts) in enumerate(stages)]
    )
