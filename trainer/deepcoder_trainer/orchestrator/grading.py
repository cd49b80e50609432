"""Answers into rewards: the program is taken out, run in a sandbox, and worth 1 only when every test accepts it."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, Profile, Verdict
from deepcoder_api.problems import Problem, test_suite
from deepcoder_api.specification import SandboxSpec
from deepcoder_sandbox.client import GradeRefusedError, GradeUnavailableError, SandboxClient
from deepcoder_sandbox.extraction import assemble_program
from deepcoder_trainer.orchestrator.failures import GradingFailed, RequestRefused

# The queue before the sandbox may be as long as a step: the deadline is for a sandbox that does nothing at all.
GRADE_SECONDS = 3600.0
IN_FLIGHT_PER_REPLICA = 64
MAX_ID_CHARACTERS = 512  # the protocol's; a problem's own id may have as many, without epoch and sample


@dataclass(frozen=True)
class Graded:
    """What an answer came to."""

    verdict: Verdict
    test_verdicts: tuple[Verdict, ...]
    reward: float


class Grader:
    """Grades answers on the sandbox servers, under the profile and the limits of the specification."""

    def __init__(self, client: SandboxClient, grading: SandboxSpec, deadline_seconds: float = GRADE_SECONDS) -> None:
        self._client = client
        self._profile: Profile = grading.profile
        self._limits = grading.limits.for_grading()
        self._deadline_seconds = deadline_seconds

    async def grade(self, problem: Problem, answer: str, id: str, priority: int = 0) -> Graded:
        """The grade of `answer`. An answer without a program, or with one too long to be run, has none.

        A lower `priority` is graded first where the sandbox has more to do than it can.

        Raises GradingFailed when no server gave a grade in time: never a wrong grade in place of none.
        """
        program = assemble_program(problem, answer)
        if program is None or len(program) > MAX_PROGRAM_CHARACTERS:
            return Graded(Verdict.NO_PROGRAM, (), 0.0)
        try:
            result = await self._client.grade(
                test_suite(problem),
                program,
                id=id[-MAX_ID_CHARACTERS:],
                profile=self._profile,
                limits=self._limits,
                deadline_seconds=self._deadline_seconds,
                priority=priority,
            )
        except GradeUnavailableError as error:
            raise GradingFailed(str(error)) from error
        except GradeRefusedError as error:
            raise RequestRefused(f"the sandbox refuses {id}: {error}") from error
        if result.verdict is Verdict.INTERNAL_ERROR:
            raise GradingFailed(f"{id}: the grader failed by itself: {result.detail}")
        return Graded(result.verdict, tuple(test.verdict for test in result.tests), float(result.accepted))
