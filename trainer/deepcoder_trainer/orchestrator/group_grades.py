"""The grades of one group: a program that several answers to a problem hold is run once. Late in training most do."""

from __future__ import annotations

import asyncio

from deepcoder_api.problems import Problem
from deepcoder_sandbox.extraction import assemble_program
from deepcoder_trainer.orchestrator.grading import Graded, Grader


class GroupGrades:
    """Grades answers to one problem, before those of a higher `priority`.

    Must be used in one event loop, by tasks that are cancelled together.
    """

    def __init__(self, grader: Grader, problem: Problem, priority: int = 0) -> None:
        self._grader = grader
        self._problem = problem
        self._priority = priority
        self._grades: dict[str, asyncio.Task[Graded]] = {}

    async def grade(self, answer: str, id: str) -> Graded:
        """The grade of `answer`; that of an equal program where there is one. Raises what a Grader raises."""
        program = assemble_program(self._problem, answer)
        if program is None:
            return await self._grader.grade(self._problem, answer, id)
        if program not in self._grades:
            grading = self._grader.grade(self._problem, answer, id, self._priority)
            self._grades[program] = asyncio.create_task(grading)
        return await self._grades[program]
