"""Which draws may be sampled now, and which sampled ones make the next batch: bounded staleness, decided. No I/O.

Draws are numbered in the order of the cursor. Step k (from 1) trains on weights of version k - 1, so a group that was
admitted at version v may be trained in step v + 1 + max_staleness at the latest: its deadline. It is admitted only if
it fits: draws up to that of that step, no more. Then whatever finishes first, the batches can be filled in time, and
nothing is ever dropped for its age: every prompt that is begun is trained on, however long its answers are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from deepcoder_trainer.orchestrator.failures import RunChanged


class Admission:
    """The draws of a run: trained, admitted, and those to come.

    All draws below `first` are trained, and those in `ahead`, which are beyond it. `prompts_per_step` groups make a
    batch.
    """

    def __init__(
        self, *, prompts_per_step: int, total_steps: int, max_staleness: int, first: int = 0,
        ahead: Collection[int] = (),
    ) -> None:  # fmt: skip
        self._prompts_per_step = prompts_per_step
        self._total_steps = total_steps
        self._max_staleness = max_staleness
        self._ahead = set(ahead)
        self._versions: dict[int, int] = {}
        self._next = self.first = first

    @property
    def ahead(self) -> tuple[int, ...]:
        """The trained draws beyond `first`, in order."""
        return tuple(sorted(self._ahead))

    def admit(self, version: int) -> list[int]:
        """The draws that may begin now that `version` is published, in order. Each is given once."""
        end = self._capacity(version + 1 + self._max_staleness)
        admitted = [draw for draw in range(self._next, end) if draw not in self._ahead]
        self._versions |= dict.fromkeys(admitted, version)
        self._next = max(self._next, end)
        return admitted

    def choose(self, step: int, finished: Iterable[int]) -> list[int] | None:
        """The batch of `step`: the earliest finished draws, if the others can still be trained in time; else None.

        None asks for more to finish. The earliest have the earliest deadlines, so no other choice would leave the
        rest a better chance.
        """
        batch = sorted(finished)[: self._prompts_per_step]
        if len(batch) < self._prompts_per_step:
            return None
        taken = set(batch)
        rest = [draw for draw in sorted(self._versions) if draw not in taken]
        in_time = all(
            self._deadline(draw) >= step + 1 + place // self._prompts_per_step for place, draw in enumerate(rest)
        )
        return batch if in_time else None

    def trained(self, step: int, draws: Collection[int]) -> None:
        """`step` has trained on `draws`. Raises RunChanged when they are not a batch that step could have had."""
        end = self._capacity(step + self._max_staleness)
        strange = [draw for draw in draws if not self.first <= draw < end or draw in self._ahead]
        if strange or len(set(draws)) != self._prompts_per_step:
            raise RunChanged(
                f"step {step} has draws {sorted(draws)}; it needs {self._prompts_per_step} of those from {self.first} "
                f"to {end - 1} that are not trained yet; was algorithm.promptsPerStep, maxStaleness, sampling.seed or "
                "the dataset changed?"
            )
        self._ahead |= set(draws)
        for draw in draws:
            self._versions.pop(draw, None)
        while self.first in self._ahead:
            self._ahead.remove(self.first)
            self.first += 1
        self._next = max(self._next, self.first)

    def step_of(self, draw: int) -> int:
        """The step that `draw` would be trained in if all answers took as long: its stage's limit holds for it."""
        return draw // self._prompts_per_step + 1

    def _capacity(self, step: int) -> int:
        return self._prompts_per_step * min(step, self._total_steps)

    def _deadline(self, draw: int) -> int:
        return self._versions[draw] + 1 + self._max_staleness
