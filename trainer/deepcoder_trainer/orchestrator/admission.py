"""Which draws may be sampled now, and which sampled ones make the next batch: bounded staleness, decided. No I/O.

Draws are numbered in the order of the cursor. Step k (from 1) trains on weights of version k - 1, so a group that was
admitted at version v may be trained in step v + 1 + max_staleness at the latest: its deadline. It is admitted only if
it fits: draws up to that of that step, no more. Then whatever finishes first, the batches can be filled in time, and
nothing is ever dropped for its age: every prompt that is begun is trained on, however long its answers are.

A batch is of one stage: its answers were sampled under one limit, at one temperature, and fit one microbatch. The draws
of the next stage may be under way meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.timetable import Timetable


class Admission:
    """The draws of a run: trained, admitted, and those to come.

    All draws below `first` are trained, and those in `ahead`, which are beyond it. `timetable` may be replaced by
    one in which nothing has changed for the draws that are admitted.
    """

    def __init__(
        self, timetable: Timetable, *, max_staleness: int, first: int = 0, ahead: Collection[int] = ()
    ) -> None:
        self.timetable = timetable
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
        end = self.timetable.draws_through(version + 1 + self._max_staleness)
        admitted = [draw for draw in range(self._next, end) if draw not in self._ahead]
        self._versions |= dict.fromkeys(admitted, version)
        self._next = max(self._next, end)
        return admitted

    def choose(self, step: int, finished: Iterable[int]) -> list[int] | None:
        """The batch of `step`: the earliest finished draws, if the others can still be trained in time; else None.

        None asks for more to finish. The earliest have the earliest deadlines, so no other choice would leave the
        rest a better chance.
        """
        index = self.timetable.index_of(step)
        own, size = self.timetable.draws_of(index), self._size(index)
        batch = sorted(draw for draw in finished if draw in own)[:size]
        if len(batch) < size:
            return None
        rest = sorted(self._versions.keys() - set(batch))
        return batch if self._in_time(rest, step + 1) else None

    def trained(self, step: int, draws: Collection[int]) -> None:
        """`step` has trained on `draws`. Raises RunChanged when they are not a batch that step could have had."""
        index = self.timetable.index_of(step)
        own, size = self.timetable.draws_of(index), self._size(index)
        first = max(self.first, own.start)
        end = min(self.timetable.draws_through(step + self._max_staleness), own.stop)
        strange = [draw for draw in draws if not first <= draw < end or draw in self._ahead]
        if strange or len(set(draws)) != size:
            raise RunChanged(
                f"step {step} has draws {sorted(draws)}; it needs {size} of those from {first} to {end - 1} that are "
                "not trained yet; was algorithm.promptsPerStep, maxStaleness, sampling.seed, a stage or the dataset "
                "changed?"
            )
        self._ahead |= set(draws)
        for draw in draws:
            self._versions.pop(draw, None)
        while self.first in self._ahead:
            self._ahead.remove(self.first)
            self.first += 1
        self._next = max(self._next, self.first)

    def _size(self, index: int) -> int:
        return self.timetable.stages[index].algorithm.prompts_per_step

    def _in_time(self, rest: Sequence[int], step: int) -> bool:
        """Whether the draws `rest`, in their order, meet their deadlines when `step` is the next to be trained."""
        places = dict[int, int]()
        for draw in rest:
            index = self.timetable.index_of_draw(draw)
            place = places.get(index, 0)
            places[index] = place + 1
            begins = max(step, self.timetable.first_step(index))
            if self._versions[draw] + 1 + self._max_staleness < begins + place // self._size(index):
                return False
        return True
