"""The account of a load: what was asked, what came back, and whether it is what the quiet run said. No I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from benchmarks.sandbox_load.sample import Sample
from deepcoder_api.grading import GradeResult, Verdict

Outcome = tuple[Verdict, ...]


def outcome(result: GradeResult) -> Outcome:
    """What must be equal in two grades of one program: the verdict, then that of each test that was run."""
    return (result.verdict, *(test.verdict for test in result.tests))


@dataclass(frozen=True)
class Expectation:
    """What the quiet run said of a program; where more than one verdict is right, any of them will do."""

    quiet: Outcome
    verdicts: frozenset[Verdict]

    def objection(self, result: GradeResult) -> str | None:
        """Why `result` is not as expected; None when it is."""
        if len(self.verdicts) == 1:
            return None if outcome(result) == self.quiet else f"{_words(outcome(result))}, not {_words(self.quiet)}"
        if result.verdict in self.verdicts:
            return None
        return f"{result.verdict}, none of {', '.join(sorted(self.verdicts))}"


class Account:
    """One load's grades by their ids. An id is asked for once and must be answered once."""

    def __init__(self, expectations: dict[str, Expectation]) -> None:
        """`expectations` are by the samples' names."""
        self._expectations = expectations
        self._asked: dict[str, str] = {}
        self._answered: Counter[str] = Counter()
        self._failed: dict[str, str] = {}
        self.hostile = 0
        self.verdicts: Counter[str] = Counter()
        self.different: list[str] = []
        self.latencies: list[float] = []

    @property
    def asked(self) -> int:
        """Grades asked for."""
        return len(self._asked)

    @property
    def graded(self) -> int:
        """Grades that came."""
        return self._answered.total()

    @property
    def in_flight(self) -> int:
        """Grades that are asked for, have not come and have not failed."""
        return len(self._asked) - len(self._answered) - len(self._failed)

    @property
    def lost(self) -> list[str]:
        """What was asked for and never answered, with the client's reason if it gave one."""
        return [
            f"{id} ({name}): {self._failed.get(id, 'no answer')}"
            for id, name in self._asked.items()
            if id not in self._answered
        ]

    @property
    def doubled(self) -> list[str]:
        """What was answered more than once, or never asked for."""
        known, unknown = "{id} ({name}): answered {count} times", "{id}: answered, and never asked for"
        return [
            (known if id in self._asked else unknown).format(id=id, name=self._asked.get(id), count=count)
            for id, count in self._answered.items()
            if count > 1 or id not in self._asked
        ]

    def ask(self, id: str, sample: Sample) -> None:
        """A grade is asked for. Raises ValueError for an id that was asked for before."""
        if id in self._asked:
            raise ValueError(f"{id} was asked for before")
        self._asked[id] = sample.name
        self.hostile += sample.hostile

    def answer(self, result: GradeResult, seconds: float) -> None:
        """A grade came, `seconds` after it was asked for. It is booked under the id that it bears itself."""
        self._answered[result.id] += 1
        self.verdicts[result.verdict.value] += 1
        self.latencies.append(seconds)
        name = self._asked.get(result.id)
        if name and (why := self._expectations[name].objection(result)):
            self.different.append(f"{result.id} ({name}): {why}: {result.detail}")

    def fail(self, id: str, reason: str) -> None:
        """The client gave up on a grade."""
        self._failed[id] = reason


def _words(verdicts: Outcome) -> str:
    return f"{verdicts[0]} with tests {[verdict.value for verdict in verdicts[1:]]}"
