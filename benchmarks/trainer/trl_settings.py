"""A resolved run of ours in TRL's words: the same batch, loss, optimizer and lengths. No training here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_trainer.algorithm.schedule import learning_rate
from deepcoder_trainer.orchestrator.cursor import Cursor


def trl_arguments(run: ResolvedRun, folder: Path) -> dict[str, Any]:
    """What GRPOConfig is made with. Raises ValueError for an algorithm that is not grpo-plus.

    TRL counts answers: an optimizer step takes `per_device_train_batch_size` times `gradient_accumulation_steps` of
    them, and `steps_per_generation` such parts are sampled at once. A part is what one forward pass takes, so it is the
    largest that our microbatch holds.
    """
    algorithm, optimizer = run.algorithm, run.spec.optimizer
    if (algorithm.policy_loss, algorithm.loss_aggregation, algorithm.advantage) != (
        "clipped",
        "token-mean",
        "normalized",
    ):
        raise ValueError(
            f"algorithm: {algorithm.policy_loss}, {algorithm.loss_aggregation}: only grpo-plus is compared"
        )
    batch = algorithm.prompts_per_step * algorithm.samples_per_prompt
    update = batch // algorithm.optimizer_steps_per_step
    part = answers_at_once(update, run.max_model_length, run.spec.trainer.tokens_per_microbatch)
    return {
        "output_dir": str(folder),
        "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "per_device_train_batch_size": part,
        "gradient_accumulation_steps": update // part,
        "steps_per_generation": batch // part,
        "num_generations": algorithm.samples_per_prompt,
        "num_iterations": 1,
        "max_completion_length": run.spec.stages[-1].max_response_tokens,
        "max_steps": run.total_steps * algorithm.optimizer_steps_per_step,
        "shuffle_dataset": False,
        "temperature": algorithm.temperature,
        "loss_type": "dapo", "scale_rewards": "group", "beta": 0.0,
        "epsilon": algorithm.clip_low, "epsilon_high": algorithm.clip_high,
        "mask_truncated_completions": algorithm.masks_truncated,
        "use_vllm": True, "vllm_mode": "server",
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "token_truncate",
        "vllm_importance_sampling_clip_max": algorithm.importance_cap,
        "max_grad_norm": optimizer.gradient_clip,
        "seed": algorithm.seed,
        "save_strategy": "no", "report_to": [], "logging_steps": 10**6, "disable_tqdm": True,
        "dataloader_num_workers": 0, "dataloader_pin_memory": False,
    }  # fmt: skip


def answers_at_once(update: int, longest: int, tokens: int) -> int:
    """The largest divisor of `update` answers that, `longest` tokens each, are no more than `tokens`; at least 1."""
    return max(part for part in range(1, update + 1) if update % part == 0 and (part == 1 or part * longest <= tokens))


def rows(run: ResolvedRun, problems: dict[str, Problem]) -> list[dict[str, Any]]:
    """The training data in the order in which our cursor draws it: both train on the same problems in each step."""
    cursor = Cursor(list(problems), run.algorithm.seed)
    draws = [cursor.draw(number) for number in range(run.total_steps * run.algorithm.prompts_per_step)]
    return [
        {"prompt": [{"role": "user", "content": problems[draw.problem_id].prompt}], "problem": draw.problem_id}
        for draw in draws
    ]


def rate_factor(run: ResolvedRun, update: int) -> float:
    """What the learning rate of this update, counted from 0, is of the highest: ours is the same within a step."""
    updates = run.algorithm.optimizer_steps_per_step
    step = min(update // updates + 1, run.total_steps)  # TRL asks once more, after the last
    return learning_rate(step, run.total_steps, run.spec.optimizer) / run.spec.optimizer.learning_rate
