"""What came of every row, by source and reason, and what the kept problems measure. Memory: four numbers a problem."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from deepcoder_api.artifacts import Drop
from deepcoder_api.problems import Problem, canonical_json
from deepcoder_trainer.preparation.selection import Candidate, Refusal

EXAMPLES = 3
EXAMPLE_CHARACTERS = 300


def _numbers() -> array[int]:
    return array("q")


def by_count(dropped: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent reason first, equally frequent ones by name."""
    return sorted(dropped.items(), key=lambda item: (-item[1], item[0]))


@dataclass
class SourceTally:
    """The rows of one source."""

    read: int = 0
    kept: int = 0
    verified: int = 0
    duplicate_tests: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))

    def drops(self) -> tuple[Drop, ...]:
        """The dropped, the most frequent reason first."""
        return tuple(
            Drop(reason=reason, count=count, examples=tuple(self.examples[reason]))
            for reason, count in by_count(self.dropped)
        )


@dataclass
class Tally:
    """The rows of all sources, and the size of each kept problem."""

    sources: defaultdict[str, SourceTally] = field(default_factory=lambda: defaultdict[str, SourceTally](SourceTally))
    tests: array[int] = field(default_factory=_numbers)
    test_bytes: array[int] = field(default_factory=_numbers)
    prompt_tokens: array[int] = field(default_factory=_numbers)
    accepted: array[int] = field(default_factory=_numbers)
    """Accepted answers of each problem that was rated, those among them that were dropped for it."""
    truncated: int = 0

    @property
    def read(self) -> int:
        """Rows read."""
        return sum(source.read for source in self.sources.values())

    @property
    def kept(self) -> int:
        """Problems in the dataset."""
        return sum(source.kept for source in self.sources.values())

    @property
    def verified(self) -> int:
        """Problems whose solution the sandbox accepted."""
        return sum(source.verified for source in self.sources.values())

    @property
    def dropped(self) -> Counter[str]:
        """Rows dropped, by reason."""
        return sum((source.dropped for source in self.sources.values()), Counter[str]())

    def keep(self, candidate: Candidate, *, verified: bool) -> None:
        """Count a problem that is in the dataset."""
        problem = candidate.problem
        of = self.sources[problem.source]
        of.kept += 1
        of.verified += int(verified)
        of.duplicate_tests += candidate.duplicate_tests
        self.tests.append(len(problem.tests))
        self.test_bytes.append(sum(len(canonical_json(test).encode()) for test in problem.tests))
        self.prompt_tokens.append(candidate.prompt_tokens)

    def rate(self, accepted: int, truncated: int) -> None:
        """Count a problem's answers of the base model: those accepted, and those cut at the limit."""
        self.accepted.append(accepted)
        self.truncated += truncated

    def refuse(self, problem: Problem, refusal: Refusal) -> None:
        """Count a problem that did not pass a check."""
        said = f"{problem.id}: {refusal.detail}" if refusal.detail else problem.id
        self.drop(problem.source, refusal.reason, said)

    def drop(self, source: str, reason: str, example: str) -> None:
        """Count a row that is not; `example` says which, and what is wrong with it, for people."""
        of = self.sources[source]
        of.dropped[reason] += 1
        if len(of.examples[reason]) < EXAMPLES:
            of.examples[reason].append(example[:EXAMPLE_CHARACTERS])

    def summary(self) -> str:
        """One line for people."""
        line = f"{self.kept} problems kept of {self.read}, {self.verified} verified"
        return f"{line}; dropped: {self.drops()}" if self.dropped else line

    def drops(self) -> str:
        """The dropped, by reason, the most frequent first, each with its first example."""
        return ", ".join(f"{reason} {count} (first: {self._first(reason)})" for reason, count in by_count(self.dropped))

    def _first(self, reason: str) -> str:
        return next(f"{name} {of.examples[reason][0]}" for name, of in self.sources.items() if of.dropped[reason])
