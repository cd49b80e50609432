"""Equal programs of a group are run once; other programs, and answers without one, are graded each."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_api.grading import Verdict
from deepcoder_api.problems import Problem
from deepcoder_trainer.orchestrator.failures import GradingFailed
from deepcoder_trainer.orchestrator.grading import Graded, Grader
from deepcoder_trainer.orchestrator.group_grades import GroupGrades
from tests.problem_builders import problem

RIGHT, WRONG = "print(2 * int(input()))", "print(int(input()))"


class Counted(Grader):
    """Accepts RIGHT; keeps the ids that it was asked with. Fails when `failing` is given."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.ids: list[str] = []
        self.priorities: list[int] = []
        self._failing = failing

    async def grade(self, problem: Problem, answer: str, id: str, priority: int = 0) -> Graded:
        self.ids.append(id)
        self.priorities.append(priority)
        await asyncio.sleep(0)
        if self._failing is not None:
            raise self._failing
        verdict = Verdict.ACCEPTED if RIGHT in answer else Verdict.WRONG_ANSWER
        return Graded(verdict, (verdict,), float(RIGHT in answer))


def answer(program: str, thought: str = "") -> str:
    """An answer that holds the program after a thought."""
    return f"{thought}\n```python\n{program}\n```"


async def test_equal_programs_are_run_once_whatever_was_thought_before() -> None:
    """Each answer has the verdict of its program; two programs are two runs, also when asked at the same time."""
    grader = Counted()
    grades = GroupGrades(grader, problem())
    answers = [answer(RIGHT), answer(WRONG), answer(RIGHT, "Let me think."), answer(WRONG, "Or so.")]
    graded = await asyncio.gather(*(grades.grade(text, f"double/0/{i}") for i, text in enumerate(answers)))
    assert [one.reward for one in graded] == [1, 0, 1, 0]
    assert (await grades.grade(answer(RIGHT), "double/0/4")).reward == 1
    assert grader.ids == ["double/0/0", "double/0/1"]


async def test_answers_without_a_program_are_not_taken_for_one() -> None:
    """Nothing is run for them, so there is nothing to share."""
    grader = Counted()
    grades = GroupGrades(grader, problem())
    for i in range(2):
        await grades.grade("I do not know.", f"double/0/{i}")
    assert grader.ids == ["double/0/0", "double/0/1"]


async def test_programs_of_a_group_have_its_priority() -> None:
    """Each of them."""
    grader = Counted()
    grades = GroupGrades(grader, problem(), 7)
    await asyncio.gather(*(grades.grade(answer(program), "double/0/0") for program in (RIGHT, WRONG)))
    assert grader.priorities == [7, 7]


async def test_failure_to_grade_is_that_of_every_answer_with_the_program() -> None:
    """No answer gets a wrong grade in place of none."""
    grades = GroupGrades(Counted(GradingFailed("no server")), problem())
    outcomes = await asyncio.gather(*(grades.grade(answer(RIGHT), str(i)) for i in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [GradingFailed, GradingFailed]
    with pytest.raises(GradingFailed, match="no server"):
        await grades.grade(answer(RIGHT), "2")
