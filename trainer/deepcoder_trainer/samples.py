"""One graded answer, as the orchestrator collects it, the journal keeps it and a batch is made of it. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deepcoder_api.grading import Verdict

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Sample:
    """One answer of the model to one problem; the fields are those of the journal (deepcoder_api.artifacts).

    `log_probabilities` and `versions` have one entry per answer token: the sampler's log-probability at the training
    temperature, and the policy version that sampled it. The end token, where the model wrote one, is an answer token.
    `group` is the index of the prompt in its step; the samples of a step with equal `group` are one group.
    Raises ValueError when the lengths disagree or a side is empty.
    """

    problem_id: str
    prompt: str
    answer: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    versions: tuple[int, ...]
    finish_reason: FinishReason
    verdict: Verdict
    test_verdicts: tuple[Verdict, ...]
    reward: float
    group: int
    advantage: float
    epoch: int

    def __post_init__(self) -> None:
        if not self.prompt_ids or not self.answer_ids:
            raise ValueError(
                f"sample of {self.problem_id!r}: {len(self.prompt_ids)} prompt and {len(self.answer_ids)} answer "
                "tokens; each needs at least one"
            )
        lengths = {len(self.answer_ids), len(self.log_probabilities), len(self.versions)}
        if len(lengths) != 1:
            raise ValueError(
                f"sample of {self.problem_id!r}: {len(self.answer_ids)} answer tokens, {len(self.log_probabilities)} "
                f"log-probabilities and {len(self.versions)} versions; the three must be equal"
            )

    @property
    def truncated(self) -> bool:
        """Whether the answer was cut at the response limit."""
        return self.finish_reason == "length"

    @property
    def staleness_version(self) -> int:
        """The policy version that sampled the first token: what staleness is counted from."""
        return self.versions[0]


@dataclass(frozen=True)
class Replaced:
    """A group that was sampled, taught nothing and was replaced by a further draw: all its answers earned `reward`."""

    problem_id: str
    epoch: int
    reward: float


@dataclass(frozen=True)
class GradedBatch:
    """What a step consumes: the samples that it trains on, and the groups replaced since the batch before it."""

    samples: Sequence[Sample]
    replaced: Sequence[Replaced] = ()
