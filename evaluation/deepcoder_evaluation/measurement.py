"""Asking and grading a benchmark: thousands may be in flight with a bound, and each answer is graded as it comes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from deepcoder_api.evaluation import Benchmark, EvaluationSpec
from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, Limits, TestResult, Verdict
from deepcoder_api.problems import Problem, test_suite
from deepcoder_evaluation.answers import Answer, GradedAnswer
from deepcoder_evaluation.chat import ChatEngine
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.extraction import assemble_program

GRADE_DEADLINE_SECONDS = 900.0


def sample_seed(seed: int, problem: str, sample: int) -> int:
    """The seed of one answer, 0 to 2**31 - 1: the same for the same problem whatever else is asked."""
    digest = hashlib.sha256(f"{seed}\0{problem}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def sandbox_limits(spec: EvaluationSpec) -> Limits:
    """The limits of the specification in the grading protocol's form."""
    limits = spec.sandbox.limits
    return Limits(
        timeout_seconds=limits.timeout_seconds,
        memory_mib=limits.memory_mib,
        output_mib=limits.output_mib,
        processes=limits.processes,
    )


class Measurement:
    """One evaluation's way to answer and grade; `on_graded` is called with every graded answer."""

    def __init__(
        self,
        spec: EvaluationSpec,
        engine: ChatEngine,
        sandbox: SandboxClient,
        on_graded: Callable[[GradedAnswer], None],
        *,
        in_flight: int = 64,
    ) -> None:
        self._spec = spec
        self._engine = engine
        self._sandbox = sandbox
        self._on_graded = on_graded
        self._slots = asyncio.Semaphore(in_flight)

    async def measure(self, benchmark: Benchmark, problems: Sequence[Problem]) -> list[GradedAnswer]:
        """All answers to all problems, graded; in the order of problems and samples.

        Raises EngineError or SandboxError, the first of what failed: no answer and no verdict is guessed.
        """
        samples = range(self._spec.sampling.samples_per_prompt)
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(self._measure_one(benchmark, problem, sample))
                    for problem in problems
                    for sample in samples
                ]
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        return [task.result() for task in asked]

    async def _measure_one(self, benchmark: Benchmark, problem: Problem, sample: int) -> GradedAnswer:
        async with self._slots:
            seed = sample_seed(self._spec.sampling.seed, problem.id, sample)
            answer = await self._engine.ask(problem.prompt, self._spec.sampling, seed)
            verdict, tests, detail = await self._grade(benchmark, problem, sample, answer)
            graded = GradedAnswer(
                benchmark=benchmark.name,
                problem=problem.id,
                sample=sample,
                seed=seed,
                prompt=problem.prompt,
                answer=answer.text,
                finish_reason=answer.finish_reason,
                prompt_tokens=answer.prompt_tokens,
                answer_tokens=answer.answer_tokens,
                seconds=answer.seconds,
                verdict=verdict,
                test_verdicts=tuple(test.verdict.value for test in tests),
                detail=detail,
            )
            self._on_graded(graded)
            return graded

    async def _grade(
        self, benchmark: Benchmark, problem: Problem, sample: int, answer: Answer
    ) -> tuple[Verdict, Sequence[TestResult], str]:
        program = assemble_program(problem, answer.text)
        if program is None:
            return Verdict.NO_PROGRAM, (), "the answer holds no fenced Python block"
        if len(program) > MAX_PROGRAM_CHARACTERS:
            return (
                Verdict.NO_PROGRAM,
                (),
                f"the program has {len(program)} characters; {MAX_PROGRAM_CHARACTERS} may be run",
            )
        result = await self._sandbox.grade(
            test_suite(problem),
            program,
            id=f"{benchmark.name}/{problem.id}/{sample}"[-512:],
            profile=self._spec.sandbox.profile,
            limits=sandbox_limits(self._spec),
            deadline_seconds=GRADE_DEADLINE_SECONDS,
        )
        return result.verdict, result.tests, result.detail
