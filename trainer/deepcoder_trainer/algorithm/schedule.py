"""The learning rate of each step. No torch here."""

from __future__ import annotations

from deepcoder_api.training_run import OptimizerSpec


def learning_rate(step: int, total_steps: int, optimizer: OptimizerSpec) -> float:
    """The learning rate of `step`, which counts from 1 over all stages; equal for all optimizer steps of the step.

    Warm-up rises in equal parts so that step `warmupSteps` has the full rate. linear falls from the full rate in the
    first step after warm-up towards zero, which the step after the last would have: no step is lost to a rate of zero.
    Raises ValueError for a step outside 1..total_steps.
    """
    if not 1 <= step <= total_steps:
        raise ValueError(f"step {step} is outside 1..{total_steps}")
    if step <= optimizer.warmup_steps:
        return optimizer.learning_rate * step / optimizer.warmup_steps
    if optimizer.schedule == "constant":
        return optimizer.learning_rate
    decaying = total_steps - optimizer.warmup_steps
    return optimizer.learning_rate * (total_steps - step + 1) / decaying
