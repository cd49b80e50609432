"""Which problems are kept, and the count of those that are not, by reason. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSpec

UNREADABLE = "unreadable_row"


def drop_reason(
    problem: Problem, rules: DataSpec, taken: Collection[str], prompt_tokens: Callable[[str], int]
) -> str | None:
    """Why a problem is not used, or None. `taken` are the ids kept so far, `prompt_tokens` counts a rendered prompt."""
    if problem.id in taken:
        return "duplicate_id"
    if not problem.tests:
        return "no_tests"
    if len(problem.tests) < rules.min_tests:
        return "too_few_tests"
    if problem.solution is None and rules.verify_solutions == "Required":
        return "no_solution"
    if prompt_tokens(problem.prompt) > rules.max_prompt_tokens:
        return "prompt_too_long"
    return None


@dataclass
class Tally:
    """Rows read and problems kept by source, problems dropped by reason, and the first example of each reason."""

    read: Counter[str] = field(default_factory=Counter[str])
    kept: Counter[str] = field(default_factory=Counter[str])
    dropped: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, str] = field(default_factory=dict[str, str])
    verified: int = 0
    tests: int = 0

    def keep(self, problem: Problem, *, verified: bool) -> None:
        """Count a problem that is in the dataset."""
        self.kept[problem.source] += 1
        self.verified += int(verified)
        self.tests += len(problem.tests)

    def drop(self, reason: str, example: str) -> None:
        """Count a row that is not; `example` says which, for people."""
        self.dropped[reason] += 1
        self.examples.setdefault(reason, example)

    def summary(self) -> str:
        """One line for people."""
        line = f"{self.kept.total()} problems kept of {self.read.total()}, {self.verified} verified"
        return f"{line}; dropped: {self.drops()}" if self.dropped else line

    def drops(self) -> str:
        """The dropped, by reason, the most frequent first, each with its first example."""
        return ", ".join(
            f"{reason} {count} (first: {self.examples[reason]})" for reason, count in self.dropped.most_common()
        )
