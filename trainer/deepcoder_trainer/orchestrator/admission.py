"""Which draws may be sampled now, and which sampled ones make the next batch: bounded staleness, decided. No I/O.

Draws are numbered in the order of the cursor. Step k (from 1) trains on weights of version k - 1, so a group that was
admitted at version v may be trained in step v + 1 + max_staleness at the latest: its deadline. It is admitted only if
it fits: as many as the steps up to that one have places for, no more. Then whatever finishes first, the batches can be
filled in time, and nothing is ever dropped for its age: every prompt that is begun is trained on, however long its
answers are.

A batch is of one stage: its answers were sampled under one limit, at one temperature, and fit one microbatch. The draws
of the next stage may be under way meanwhile.

A group that teaches nothing may be replaced (dynamic sampling): its draw is done with, and one draw more may begin for
its stage, at the version that is published then. So the bound on staleness holds for what replaces as for what was
replaced.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.timetable import Timetable


@dataclass(frozen=True)
class Begun:
    """The version that was published when a draw was admitted, and the index of the stage that it was admitted for."""

    version: int
    stage: int


class Admission:
    """The draws of a run: done with (trained or replaced), admitted, and those to come.

    All draws below `first` are done with, and those in `ahead`, which are beyond it; `replaced` of them were replaced.
    `timetable` may be replaced by one in which nothing has changed for the draws that are admitted. Between two batches
    as many draws are replaced as the stage of the second allows, all of that stage.
    """

    def __init__(
        self, timetable: Timetable, *, max_staleness: int, first: int = 0, ahead: Collection[int] = (),
        replaced: int = 0,
    ) -> None:  # fmt: skip
        self.timetable = timetable
        self._max_staleness = max_staleness
        self._ahead = set(ahead)
        self._begun: dict[int, Begun] = {}
        self._replaced_since = set[int]()
        self.first = first
        self.replaced = replaced

    @property
    def ahead(self) -> tuple[int, ...]:
        """The draws beyond `first` that are done with, in order."""
        return tuple(sorted(self._ahead))

    @property
    def replaces(self) -> bool:
        """Whether any draw may be replaced."""
        return any(stage.algorithm.most_replaced_per_step for stage in self.timetable.stages)

    def admit(self, version: int) -> list[int]:
        """The draws that may begin while `version` is published, in order. Each is given once."""
        known = self._ahead | self._replaced_since | self._begun.keys()
        unknown = (draw for draw in itertools.count(self.first) if draw not in known)
        begun = dict[int, Begun]()
        for stage, places in enumerate(self._places(version + 1 + self._max_staleness)):
            begun |= dict.fromkeys(itertools.islice(unknown, places), Begun(version, stage))
        self._begun |= begun
        return list(begun)

    def replace(self, draw: int) -> bool:
        """Be done with an admitted draw that is not to be trained on: `admit` then gives one more. False: not now.

        Which were replaced since the last batch belongs to what is durable of the next: `trained` wants to be told.
        """
        index = self.timetable.index_of_prompt(self._trained)
        most = self.timetable.stages[index].algorithm.most_replaced_per_step
        if self._begun[draw].stage != index or len(self._replaced_since) >= most:
            return False
        del self._begun[draw]
        self._replaced_since.add(draw)
        return True

    def choose(self, step: int, finished: Iterable[int]) -> list[int] | None:
        """The batch of `step`: the earliest finished draws, if the others can still be trained in time; else None.

        None asks for more to finish. The earliest have the earliest deadlines, so no other choice would leave the
        rest a better chance.
        """
        index = self.timetable.index_of(step)
        size = self._size(index)
        batch = self._by_deadline(draw for draw in finished if self._begun[draw].stage == index)[:size]
        if len(batch) < size or self._late(step, self._begun.keys() - set(batch)):
            return None
        return sorted(batch)

    def trained(self, step: int, draws: Collection[int], replaced: Collection[int] = ()) -> list[int]:
        """`step` has trained on `draws`, and `replaced` were replaced since the batch before it.

        Returns what can no longer be trained in time, which is to be given up and is admitted anew: there is none
        unless the batch is another than `choose` said. Raises RunChanged when they are not a batch that step could
        have had.
        """
        self._check(step, draws, replaced)
        done = {*draws, *replaced}
        self._ahead |= done
        self._replaced_since -= done
        self.replaced += len(replaced)
        while self.first in self._ahead:
            self._ahead.remove(self.first)
            self.first += 1
        self._forget(done)
        late = self._late(step, self._begun.keys())
        self._forget(late)
        return late

    def stage_of(self, draw: int) -> int:
        """The index of the stage that an admitted draw was begun for: its limit and its sampling hold."""
        return self._begun[draw].stage

    @property
    def _trained(self) -> int:
        """How many draws have been trained on: all that are done with but the replaced ones."""
        return self.first + len(self._ahead) - self.replaced

    def _size(self, index: int) -> int:
        return self.timetable.stages[index].algorithm.prompts_per_step

    def _places(self, step: int) -> list[int]:
        """How many more draws each stage has places for in the steps up to `step`."""
        under_way = Counter(begun.stage for begun in self._begun.values())
        end, trained = self.timetable.prompts_through(step), self._trained
        stages = [self.timetable.prompts_of(index) for index in range(len(self.timetable.stages))]
        return [
            max(0, min(end, own.stop) - max(trained, own.start) - under_way[index]) for index, own in enumerate(stages)
        ]

    def _check(self, step: int, draws: Collection[int], replaced: Collection[int]) -> None:
        index = self.timetable.index_of(step)
        size, done, ever_replaced = self._size(index), [*draws, *replaced], self.replaced + len(replaced)
        end = self.timetable.prompts_through(step + self._max_staleness)
        if not ever_replaced:
            # Then a draw's number tells its stage. Else the next stage's may come before what replaces this one's.
            end = min(end, self.timetable.prompts_of(index).stop)
        end += ever_replaced
        strange = [draw for draw in done if not self.first <= draw < end or draw in self._ahead]
        if strange or len(set(done)) != size + len(replaced):
            raise RunChanged(
                f"step {step} has draws {sorted(draws)} and replaced {sorted(replaced)}; it needs {size} of those from "
                f"{self.first} to {end - 1} that are not done with yet; was algorithm.promptsPerStep, maxStaleness, "
                "sampling.seed, a stage or the dataset changed?"
            )

    def _forget(self, draws: Iterable[int]) -> None:
        for draw in draws:
            self._begun.pop(draw, None)

    def _by_deadline(self, draws: Iterable[int]) -> list[int]:
        return sorted(draws, key=lambda draw: (self._begun[draw].version, draw))

    def _late(self, step: int, draws: Iterable[int]) -> list[int]:
        """Those of `draws` for which the steps after `step` have no place in time, when the earliest come first."""
        late: list[int] = []
        places = Counter[int]()
        for draw in self._by_deadline(draws):
            begun = self._begun[draw]
            begins = max(step + 1, self.timetable.first_step(begun.stage))
            deadline = min(begun.version + 1 + self._max_staleness, self.timetable.last_step(begun.stage))
            if deadline < begins + places[begun.stage] // self._size(begun.stage):
                late.append(draw)
            else:
                places[begun.stage] += 1
        return late
