"""Whether a problem's own solution passes its tests, as the sandbox that will grade the model says."""

from __future__ import annotations

from dataclasses import dataclass

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, Profile
from deepcoder_api.problems import Problem, test_suite
from deepcoder_api.specification import SandboxSpec
from deepcoder_api.training_run import DataSpec
from deepcoder_data.termination import RetryableError
from deepcoder_sandbox.client import GradeRefusedError, GradeUnavailableError, SandboxClient
from deepcoder_trainer.preparation.selection import Refusal

# A sandbox that has just been asked for may still be starting.
GRADE_SECONDS = 900.0


@dataclass(frozen=True)
class Outcome:
    """What came of one problem: kept, with its solution verified or not, or refused."""

    verified: bool = False
    refusal: Refusal | None = None


class Verifier:
    """Runs solutions in the sandbox, under the profile and the limits that answers will have."""

    def __init__(self, sandbox: SandboxClient, grading: SandboxSpec, rules: DataSpec) -> None:
        self._sandbox = sandbox
        self._profile: Profile = grading.profile
        self._limits = grading.limits.for_grading()
        self._runs = rules.verify_solutions != "Never"

    async def verify(self, problem: Problem) -> Outcome:
        """What comes of `problem`. Raises RetryableError when no sandbox grades."""
        if not self._runs or problem.solution is None:
            return Outcome()
        if len(problem.solution) > MAX_PROGRAM_CHARACTERS:
            return Outcome(refusal=Refusal("solution_too_long", f"{len(problem.solution)} characters"))
        try:
            result = await self._sandbox.grade(
                test_suite(problem),
                problem.solution,
                id=problem.id,
                profile=self._profile,
                limits=self._limits,
                deadline_seconds=GRADE_SECONDS,
            )
        except GradeUnavailableError as error:
            raise RetryableError("SandboxUnavailable", f"solutions cannot be verified: {error}") from error
        except GradeRefusedError as error:
            return Outcome(refusal=Refusal("refused_by_sandbox", str(error)))
        if result.accepted:
            return Outcome(verified=True)
        return Outcome(refusal=Refusal(f"solution_{result.verdict.value}", result.detail))
