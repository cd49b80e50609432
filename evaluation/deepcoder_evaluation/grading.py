"""The grades of one answer at every response limit. Equal programs are run once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from deepcoder_api.grading import MAX_PROGRAM_CHARACTERS, Limits, Profile, Verdict
from deepcoder_api.problems import TestSuite
from deepcoder_evaluation.cutting import Cutter
from deepcoder_evaluation.records import AnswerRecord, GradeRecord, LengthGrade, Place, rules_digest
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.extraction import assemble_program

GRADE_DEADLINE_SECONDS = 900.0


@dataclass(frozen=True)
class Judged:
    """What a program came to."""

    verdict: Verdict
    tests: tuple[str, ...]
    detail: str


@dataclass(frozen=True)
class Grader:
    """Takes programs out of answers and has them run."""

    sandbox: SandboxClient
    cutter: Cutter
    profile: Profile
    limits: Limits
    lengths: tuple[int, ...]

    def rules(self, record: AnswerRecord, suite: TestSuite, extraction: str) -> str:
        """The digest of all that the grades depend on."""
        limits = self.limits.model_dump_json()
        return rules_digest(record, suite.content_hash(), self.profile, extraction, limits, self.lengths)

    async def grade(self, place: Place, record: AnswerRecord, suite: TestSuite, extraction: str) -> GradeRecord:
        """The grades at all limits, ascending. Raises SandboxError, or ValueError when an answer cannot be cut."""
        cuts = await asyncio.to_thread(self.cutter.cuts, record.answer, self.lengths)
        judged: dict[str | None, Judged] = {None: Judged(Verdict.NO_PROGRAM, (), "the answer holds no program")}
        grades: list[LengthGrade] = []
        for tokens, cut in reversed(list(zip(self.lengths, cuts, strict=True))):
            program = assemble_program(place.problem, cut.text, extraction)
            if program not in judged:
                judged[program] = await self._run(place, program, suite)
            found = judged[program]
            grades.append(
                LengthGrade(
                    tokens=tokens,
                    exact=cut.exact,
                    finish_reason=cut.finish_reason,
                    verdict=found.verdict,
                    test_verdicts=found.tests,
                    detail=found.detail,
                )
            )
        return GradeRecord(rules=self.rules(record, suite, extraction), grades=tuple(reversed(grades)))

    async def _run(self, place: Place, program: str | None, suite: TestSuite) -> Judged:
        assert program is not None
        if len(program) > MAX_PROGRAM_CHARACTERS:
            detail = f"the program has {len(program)} characters; {MAX_PROGRAM_CHARACTERS} may be run"
            return Judged(Verdict.NO_PROGRAM, (), detail)
        result = await self.sandbox.grade(
            suite,
            program,
            id=f"{place.benchmark}/{place.problem.id}/{place.repeat}/{place.sample}"[-512:],
            profile=self.profile,
            limits=self.limits,
            deadline_seconds=GRADE_DEADLINE_SECONDS,
        )
        return Judged(result.verdict, tuple(test.verdict.value for test in result.tests), result.detail)
