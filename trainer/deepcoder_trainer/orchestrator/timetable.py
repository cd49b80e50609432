"""Which steps and which prompts belong to which stage. Pure.

Steps count from 1 over all stages; the prompts that are trained on, numbered from 0, are dealt out to the steps in
their order, `prompts_per_step` of the stage to each. A stage that ends early has fewer steps: those after it move up.
Where nothing is replaced, prompt n is the cursor's draw n.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from deepcoder_api.resolved_stage import ResolvedStage


@dataclass(frozen=True)
class Timetable:
    """The stages, and how many steps each has: `stage.steps` unless it ended early."""

    stages: tuple[ResolvedStage, ...]
    steps: tuple[int, ...]

    @classmethod
    def planned(cls, stages: Sequence[ResolvedStage]) -> Timetable:
        """Every stage with all its steps."""
        return cls(tuple(stages), tuple(stage.steps for stage in stages))

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(self.steps)

    def index_of(self, step: int) -> int:
        """The index of the stage that `step` belongs to. Raises ValueError outside the run's steps."""
        last = 0
        for index, steps in enumerate(self.steps):
            last += steps
            if 1 <= step <= last:
                return index
        raise ValueError(f"step {step} is outside the run's {self.total_steps} steps")

    def stage_of(self, step: int) -> ResolvedStage:
        """The stage that `step` belongs to. Raises ValueError outside the run's steps."""
        return self.stages[self.index_of(step)]

    def first_step(self, index: int) -> int:
        """The first step of a stage."""
        return sum(self.steps[:index]) + 1

    def last_step(self, index: int) -> int:
        """The last step of a stage."""
        return sum(self.steps[: index + 1])

    def prompts_through(self, step: int) -> int:
        """How many prompts the steps up to `step` train on; past the last step no more."""
        left, prompts = step, 0
        for stage, steps in zip(self.stages, self.steps, strict=True):
            prompts += stage.algorithm.prompts_per_step * max(0, min(left, steps))
            left -= steps
        return prompts

    def prompts_of(self, index: int) -> range:
        """The numbers of the prompts of a stage."""
        return range(self.prompts_through(self.first_step(index) - 1), self.prompts_through(self.last_step(index)))

    def index_of_prompt(self, prompt: int) -> int:
        """The index of the stage that `prompt` belongs to. Raises ValueError past the last step's."""
        for index in range(len(self.stages)):
            if prompt in self.prompts_of(index):
                return index
        raise ValueError(f"prompt {prompt} is outside the run's {self.prompts_through(self.total_steps)} prompts")

    def ended_with(self, step: int) -> Timetable:
        """The timetable in which the stage of `step` has no step after it."""
        index = self.index_of(step)
        steps = [*self.steps]
        steps[index] = step - self.first_step(index) + 1
        return dataclasses.replace(self, steps=tuple(steps))
