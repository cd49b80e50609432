"""Asking and grading all benchmarks: many answers in flight with a bound, each kept and graded as it comes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from deepcoder_api.problems import TestSuite, test_suite
from deepcoder_data.store import StoreError
from deepcoder_evaluation.answers import Outcome
from deepcoder_evaluation.benchmarks.kind import LoadedBenchmark
from deepcoder_evaluation.chat import ChatEngine, EngineError
from deepcoder_evaluation.grading import Grader
from deepcoder_evaluation.job import EvaluationJob
from deepcoder_evaluation.records import (
    AnswerRecord,
    GradeRecord,
    Place,
    Records,
    answer_record,
    request_digest,
)
from deepcoder_sandbox.client import SandboxError

MOST_UNGRADED = 128
"""Answers that wait for their grade, beyond those being asked for: a bound on what is in memory."""


def sample_seed(seed: int, problem: str, sample: int) -> int:
    """The seed of one answer, 0 to 2**31 - 1: the same for the same problem whatever else is asked."""
    digest = hashlib.sha256(f"{seed}\0{problem}\0{sample}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def places(job: EvaluationJob, loaded: LoadedBenchmark) -> Iterator[Place]:
    """Every answer of a benchmark: all problems' samples, and all again for each repeat."""
    samples = job.sampling.samples_per_prompt
    for repeat in range(loaded.benchmark.repeats):
        for problem in loaded.problems:
            for sample in range(samples):
                seed = sample_seed(job.sampling.seed, problem.id, repeat * samples + sample)
                yield Place(loaded.name, problem, repeat, sample, seed)


def answer_count(job: EvaluationJob, loaded: LoadedBenchmark) -> int:
    """How many `places` there are."""
    return loaded.benchmark.repeats * len(loaded.problems) * job.sampling.samples_per_prompt


@dataclass(frozen=True)
class Measurement:
    """One evaluation's way to answer and grade; `on_graded` is called with the outcomes of each answer, by limit.

    `engine` waits until the engine is ready: only who must ask something waits for it.
    """

    job: EvaluationJob
    model: str
    engine: Callable[[], Awaitable[ChatEngine]]
    grader: Grader
    records: Records
    on_graded: Callable[[Sequence[Outcome]], None]

    async def measure(self, benchmarks: Sequence[LoadedBenchmark]) -> dict[str, list[Outcome]]:
        """The outcomes of all answers at all limits, by benchmark, in the order of problems, samples and limits.

        Raises EngineError, SandboxError or StoreError, the first of what failed: no answer and no verdict is guessed.
        After a failure nothing more is asked, but what is under way is finished and kept for the next life.
        """
        asking = asyncio.Semaphore(self.job.in_flight)
        held = asyncio.Semaphore(self.job.in_flight + MOST_UNGRADED)
        failed: list[Exception] = []

        async def one(loaded: LoadedBenchmark, place: Place, suite: TestSuite) -> list[Outcome]:
            async with held:
                if failed:
                    return []
                try:
                    outcomes = await self._measure_one(loaded, place, suite, asking, failed)
                except (EngineError, SandboxError, StoreError, ValueError) as error:
                    failed.append(error)
                    return []
            if outcomes:
                self.on_graded(outcomes)
            return outcomes

        async with asyncio.TaskGroup() as group:
            tasks: dict[str, list[asyncio.Task[list[Outcome]]]] = {}
            for loaded in benchmarks:
                suites = {problem.id: test_suite(problem) for problem in loaded.problems}
                tasks[loaded.name] = [
                    group.create_task(one(loaded, place, suites[place.problem.id]))
                    for place in places(self.job, loaded)
                ]
        if failed:
            raise failed[0]
        return {name: [outcome for task in its for outcome in task.result()] for name, its in tasks.items()}

    async def read(self, loaded: LoadedBenchmark, place: Place) -> tuple[AnswerRecord, GradeRecord] | None:
        """An answer and its grades as they were kept. Raises StoreError."""
        record = await self.records.answer(place, self._request(place))
        if record is None:
            return None
        extraction = loaded.kind.extraction(self.job.profile)
        grades = await self.records.grade(place, self.grader.rules(record, test_suite(place.problem), extraction))
        return None if grades is None else (record, grades)

    def _request(self, place: Place) -> str:
        return request_digest(place.problem.prompt, self.job.sampling, place.seed, self.model)

    async def _measure_one(
        self,
        loaded: LoadedBenchmark,
        place: Place,
        suite: TestSuite,
        asking: asyncio.Semaphore,
        failed: Sequence[Exception],
    ) -> list[Outcome]:
        record = await self._answered(place, asking, failed)
        if record is None:
            return []
        extraction = loaded.kind.extraction(self.job.profile)
        grades = await self.records.grade(place, self.grader.rules(record, suite, extraction))
        if grades is None:
            grades = await self.grader.grade(place, record, suite, extraction)
            await self.records.keep(place, grades)
        return outcomes_of(record, grades)

    async def _answered(
        self, place: Place, asking: asyncio.Semaphore, failed: Sequence[Exception]
    ) -> AnswerRecord | None:
        """The answer, kept before it is used. None when it was not asked for because something failed."""
        request = self._request(place)
        record = await self.records.answer(place, request)
        if record is not None:
            return record
        async with asking:
            if failed:
                return None
            engine = await self.engine()
            answer = await engine.ask(place.problem.prompt, self.job.sampling, place.seed)
            record = answer_record(place, answer, request)
            await self.records.keep(place, record)
        return record


def outcomes_of(record: AnswerRecord, grades: GradeRecord) -> list[Outcome]:
    """The outcomes of an answer, by response limit."""
    return [
        Outcome(
            benchmark=record.benchmark,
            problem=record.problem,
            repeat=record.repeat,
            sample=record.sample,
            tokens=grade.tokens,
            exact=grade.exact,
            finish_reason=grade.finish_reason,
            answer_tokens=min(record.answer_tokens, grade.tokens),
            seconds=record.seconds,
            verdict=grade.verdict,
            test_verdicts=grade.test_verdicts,
            detail=grade.detail,
        )
        for grade in grades.grades
    ]
