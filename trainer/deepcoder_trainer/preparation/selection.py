"""Which problems are kept: each check in turn, from the cheapest to the dearest, until one says no.

It is asked in the order of the sources, and remembers what was taken: of equal ids and of near statements the first
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSpec
from deepcoder_trainer.preparation.consistency import contradiction, distinct_tests
from deepcoder_trainer.preparation.decontamination import Benchmark, nearest_benchmark
from deepcoder_trainer.preparation.near_duplicates import Statement, StatementIndex, statement_of


@dataclass(frozen=True)
class Refusal:
    """Why a problem is not used: one word for machines, and what is wrong with it for people."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Candidate:
    """A problem that passed the checks so far, each of its tests once."""

    problem: Problem
    prompt_tokens: int
    duplicate_tests: int
    statement: Statement | None


class Selection:
    """The checks of one specification, and what they have to remember."""

    def __init__(
        self, rules: DataSpec, prompt_tokens: Callable[[str], int], benchmarks: Sequence[Benchmark] = ()
    ) -> None:
        """`prompt_tokens` counts a rendered prompt."""
        self._rules = rules
        self._prompt_tokens = prompt_tokens
        self._benchmarks = benchmarks
        self._ids = set[str]()
        self._taken = StatementIndex(rules.dedupe.similarity) if rules.dedupe else None

    def examine(self, problem: Problem) -> Candidate | Refusal:
        """Every check that needs neither a sandbox nor the dataset so far. The id of a candidate counts as taken."""
        distinct = problem.model_copy(update={"tests": distinct_tests(problem.tests)})
        if refusal := self._by_itself(distinct):
            return refusal
        tokens = self._prompt_tokens(problem.prompt)
        if tokens > self._rules.max_prompt_tokens:
            return Refusal("prompt_too_long", f"{tokens} tokens")
        compares = self._taken is not None or bool(self._benchmarks)
        statement = statement_of(problem.prompt) if compares else None
        candidate = Candidate(distinct, tokens, len(problem.tests) - len(distinct.tests), statement)
        if refusal := self._contaminated(candidate):
            return refusal
        self._ids.add(problem.id)
        return candidate

    def repeats(self, candidate: Candidate) -> Refusal | None:
        """Whether a problem with nearly the same statement is in the dataset already."""
        if self._taken is None or candidate.statement is None:
            return None
        near = self._taken.nearest(candidate.statement)
        return Refusal("near_duplicate", f"{near.similarity:.2f} near to {near.name}") if near else None

    def take(self, candidate: Candidate) -> None:
        """The candidate is in the dataset: from now on nothing near to it may follow."""
        if self._taken is not None and candidate.statement is not None:
            self._taken.add(f"{candidate.problem.source} {candidate.problem.id}", candidate.statement)

    def _by_itself(self, problem: Problem) -> Refusal | None:
        if problem.id in self._ids:
            return Refusal("duplicate_id")
        if not problem.tests:
            return Refusal("no_tests")
        if said := contradiction(problem):
            return Refusal("contradictory_tests", said)
        if len(problem.tests) < self._rules.min_tests:
            return Refusal("too_few_tests", f"{len(problem.tests)} of {self._rules.min_tests}")
        if problem.solution is None and self._rules.verify_solutions == "Required":
            return Refusal("no_solution")
        return None

    def _contaminated(self, candidate: Candidate) -> Refusal | None:
        if candidate.statement is None:
            return None
        near = nearest_benchmark(candidate.statement, self._benchmarks)
        return Refusal("contaminated", near) if near else None
