"""Signs that training goes wrong, read off the figures of the last steps. Pure: the caller decides what to do.

A warning is for people; a finding with `stops` says that going on would only harm, so that the last checkpoint is the
best there will be. The bounds are wide: what they catch was never seen in a run that learned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Literal

Name = Literal[
    "SamplerApart", "EntropyCollapsed", "EntropyGrown", "GradientExploded", "NoSignal", "AnswersRepeat", "GraderFails"
]  # fmt: skip

FIRST_STEPS = 10
"""Steps that a run's own measure is taken from."""
KEPT_STEPS = 50
TAIL_TOKENS = 256
LONGEST_PERIOD = 64


@dataclass(frozen=True)
class StepFigures:
    """One step. Shares are of 1; entropy and sampler_kl in nats a token; what the ranks did not compute is None."""

    step: int
    groups_without_signal: float
    repeating: float
    entropy: float | None = None
    gradient_norm: float | None = None
    sampler_kl: float | None = None


@dataclass(frozen=True)
class Finding:
    """Something that should not be."""

    name: Name
    text: str
    stops: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


class Guards:
    """What the last steps show. Feed it every step in order, those that are replayed too."""

    def __init__(self) -> None:
        self._first: list[StepFigures] = []
        self._last: deque[StepFigures] = deque(maxlen=KEPT_STEPS)

    def look(self, figures: StepFigures) -> tuple[Finding, ...]:
        """What is wrong after this step, the gravest first."""
        if len(self._first) < FIRST_STEPS:
            self._first.append(figures)
        self._last.append(figures)
        rules = (self._sampler, self._gradient, self._entropy, self._signal, self._repetition)
        found = [finding for rule in rules if (finding := rule())]
        return tuple(sorted(found, key=lambda finding: not finding.stops))

    def _sampler(self) -> Finding | None:
        values = self._newest(3, lambda one: one.sampler_kl)
        if not values or min(values) < 0.05:
            return None
        text = f"sampler and trainer are {values[-1]:.3g} nats a token apart, above 0.05 for 3 steps"
        return Finding("SamplerApart", text, stops=min(values) > 0.5)

    def _gradient(self) -> Finding | None:
        newest = self._newest(3, lambda one: one.gradient_norm)
        before = _known(islice(self._last, max(0, len(self._last) - 3)), lambda one: one.gradient_norm)
        if not newest or len(before) < FIRST_STEPS or min(newest) <= 50 * median(before):
            return None
        text = f"the gradient's norm was {newest[-1]:.3g}, over 50 times its median {median(before):.3g} for 3 steps"
        return Finding("GradientExploded", text)

    def _entropy(self) -> Finding | None:
        first, newest = _known(self._first, lambda one: one.entropy), self._newest(5, lambda one: one.entropy)
        if len(first) < FIRST_STEPS or not newest:
            return None
        begun, said = median(first), f"for 5 steps entropy was, at last {newest[-1]:.3g} nats a token"
        if max(newest) < 0.05 * begun:
            return Finding("EntropyCollapsed", f"{said}, under a twentieth of the first steps' {begun:.3g}")
        if min(newest) > 3 * begun and min(newest) > 1:
            return Finding("EntropyGrown", f"{said}, over three times the first steps' {begun:.3g}")
        return None

    def _signal(self) -> Finding | None:
        shares = self._newest(FIRST_STEPS, lambda one: one.groups_without_signal)
        if not shares or min(shares) < 1:
            return None
        return Finding(
            "NoSignal", f"in {FIRST_STEPS} steps no group had both right and wrong answers: nothing is learned"
        )

    def _repetition(self) -> Finding | None:
        shares = self._newest(3, lambda one: one.repeating)
        if not shares or min(shares) < 0.25:
            return None
        return Finding("AnswersRepeat", f"{shares[-1]:.0%} of the answers end in one phrase over and over, for 3 steps")

    def _newest(self, steps: int, value: Callable[[StepFigures], float | None]) -> list[float]:
        """The values of the last `steps` steps; none when one of them is not known."""
        values = _known(islice(self._last, max(0, len(self._last) - steps), None), value)
        return values if len(values) == steps else []


def step_figures(
    step: int, groups_without_signal: int, groups: int, answers: Sequence[Sequence[int]], training: Mapping[str, float]
) -> StepFigures:
    """The figures of a step, from its batch and from what the ranks made of it."""
    return StepFigures(
        step=step,
        groups_without_signal=groups_without_signal / groups,
        repeating=sum(map(repeats, answers)) / len(answers),
        entropy=training.get("entropy"),
        gradient_norm=training.get("gradient_norm"),
        sampler_kl=training.get("sampler_kl"),
    )


def repeats(tokens: Sequence[int]) -> bool:
    """Whether the last TAIL_TOKENS of an answer are one phrase of at most LONGEST_PERIOD tokens, over and over."""
    tail = tokens[-TAIL_TOKENS:]
    if len(tail) < TAIL_TOKENS:
        return False
    return any(tail[period:] == tail[:-period] for period in range(1, LONGEST_PERIOD + 1))


def _known(steps: Iterable[StepFigures], value: Callable[[StepFigures], float | None]) -> list[float]:
    return [known for one in steps if (known := value(one)) is not None]
