"""When a stage ends before its last step. Pure: a replay of the same steps decides the same.

The decision comes after a step and before anything more is admitted. With maxStaleness above 0 the answers of as many
further steps have begun by then, under the stage's own limit: the stage ends when those are trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from deepcoder_api.lifecycle import StageAdvance
from deepcoder_api.problems import Strict
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.stage_spec import AdvanceWhen
from deepcoder_trainer.orchestrator.timetable import Timetable


class StepShares(Strict):
    """What a step's answers came to, as means over them: reward, and the share that was cut at the limit."""

    reward: float
    truncated: float


@dataclass(frozen=True)
class Course:
    """How far the stages have come: the timetable as it is, the stages that ended early, and the last steps' shares.

    `window` holds the newest steps of the stage under way, no more than its advanceWhen looks at.
    """

    timetable: Timetable
    advances: tuple[StageAdvance, ...] = ()
    window: tuple[StepShares, ...] = ()

    @classmethod
    def taken_up(
        cls, stages: Sequence[ResolvedStage], advances: Sequence[StageAdvance], window: Sequence[StepShares]
    ) -> Course:
        """The course that a checkpoint tells of."""
        timetable = Timetable.planned(stages)
        for advance in advances:
            timetable = timetable.ended_with(advance.step)
        return cls(timetable, tuple(advances), tuple(window))

    def after(self, step: int, shares: StepShares, max_staleness: int) -> Course:
        """The course once `step` is trained, with the stage's end where its advanceWhen asks for it."""
        index = self.timetable.index_of(step)
        stage, last = self.timetable.stages[index], self.timetable.last_step(index)
        if stage.advance_when is None or step == last:
            return Course(self.timetable, self.advances)
        window = (*self.window, shares)[-stage.advance_when.window_steps :]
        end = step + max_staleness
        reason = advance_reason(stage.advance_when, window)
        if reason is None or end >= last:
            return Course(self.timetable, self.advances, window)
        advance = StageAdvance(stage=stage.name, step=end, reason=reason)
        # What is left of the stage has begun: the next stage's first step starts a window of its own.
        window = window if end > step else ()
        return Course(self.timetable.ended_with(end), (*self.advances, advance), window)


def advance_reason(rule: AdvanceWhen, window: Sequence[StepShares]) -> str | None:
    """Why the stage has done its part, for people; None while it has not, or while the window is not full."""
    if len(window) < rule.window_steps:
        return None
    rules: tuple[tuple[str, float | None, Callable[[StepShares], float]], ...] = (
        ("truncated fraction", rule.truncated_fraction_above, lambda one: one.truncated),
        ("reward", rule.reward_above, lambda one: one.reward),
    )
    for name, bound, share in rules:
        mean = fmean(map(share, window))
        if bound is not None and mean > bound:
            return f"{name} {mean:.3g} over the last {rule.window_steps} steps, above {bound:g}"
    return None
