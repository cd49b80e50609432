"""The account of a run that has ended: what it must have made, and each thing that is not so, in a line. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.trainer_kills.rows import Row, draws
from deepcoder_api.artifacts import Head
from deepcoder_trainer.orchestrator.cursor import Cursor
from deepcoder_trainer.orchestrator.resume import RunState


@dataclass(frozen=True)
class Expected:
    """What was asked for."""

    steps: int
    prompts: int
    samples: int
    every_steps: int
    keep_last: int

    @property
    def checkpoints(self) -> list[int]:
        """The steps whose checkpoints stay."""
        made = [*range(self.every_steps, self.steps, self.every_steps), self.steps]
        return made[-self.keep_last :]


@dataclass(frozen=True)
class StepDone:
    """A step as an attempt logged it: a step that was trained again must have been the same batch."""

    step: int
    reward: float
    answer_tokens: int


@dataclass(frozen=True)
class Evidence:
    """What was found in the store, in the logs and on the machine after the end."""

    attempts: int
    """As counted by `deepcoder run`."""
    head: Head | None
    state: RunState | None
    """Of the last checkpoint."""
    cursor: Cursor
    samples: Mapping[int, Sequence[Row]]
    journal: Mapping[int, Sequence[Row]]
    """What was seen of it while the run went on."""
    journal_left: Sequence[int]
    checkpoints: Sequence[int]
    """Those that are complete."""
    reported: Sequence[int]
    """The steps of report.json, in its order."""
    taken_up: Sequence[int] = ()
    """The steps that attempts went on from, in their order."""
    done: Sequence[StepDone] = ()
    faults: Sequence[str] = field(default=())
    """What was wrong before any comparison: files that are damaged, left behind, or written twice."""


def violations(evidence: Evidence, expected: Expected) -> list[str]:
    """Everything that is not as it must be."""
    return [
        *evidence.faults,
        *_steps(evidence, expected),
        *_prompts(evidence, expected),
        *_state(evidence, expected),
        *_journal(evidence, expected),
        *_checkpoints(evidence, expected),
        *_attempts(evidence),
    ]


def _steps(evidence: Evidence, expected: Expected) -> Iterator[str]:
    wanted = list(range(1, expected.steps + 1))
    if sorted(evidence.samples) != wanted:
        lacking = sorted(set(wanted) - set(evidence.samples))
        more = sorted(set(evidence.samples) - set(wanted))
        yield f"samples: steps {lacking} are not there, and {more} should not be"
    twice = sorted({step for step in evidence.reported if evidence.reported.count(step) > 1})
    lacking = sorted(set(wanted) - set(evidence.reported))
    if twice or lacking or list(evidence.reported) != sorted(evidence.reported):
        yield f"report.json: steps {lacking} are not there, {twice} are there twice, in the order {evidence.reported}"


def _prompts(evidence: Evidence, expected: Expected) -> Iterator[str]:
    """Each draw of the cursor up to the last step is in one step, with all its answers, and no other is."""
    steps_of: dict[tuple[str, int], list[int]] = {}
    for step, found in sorted(evidence.samples.items()):
        for draw, answers in draws(found).items():
            steps_of.setdefault(draw, []).append(step)
            if answers != expected.samples:
                yield f"step {step}: {draw} has {answers} answers, not {expected.samples}"
    for draw, steps in steps_of.items():
        if len(steps) > 1:
            yield f"doubled: {draw} was trained on in steps {steps}"
    ahead = (evidence.cursor.draw(number) for number in range(expected.steps * expected.prompts))
    wanted = {(draw.problem_id, draw.epoch) for draw in ahead}
    yield from (f"dropped: {draw} was never trained on" for draw in sorted(wanted - steps_of.keys()))
    yield from (f"out of order: {draw} is beyond the cursor" for draw in sorted(steps_of.keys() - wanted))


def _state(evidence: Evidence, expected: Expected) -> Iterator[str]:
    head, state = evidence.head, evidence.state
    if head is None or state is None:
        yield "there is no head, or no state in the last checkpoint"
        return
    prompts = expected.steps * expected.prompts
    tokens = sum(len(row.answer) for found in evidence.samples.values() for row in found)
    wanted = {
        "head's step": (head.step, expected.steps),
        "head's attempt": (head.attempt, evidence.attempts),
        "state's step": (state.step, expected.steps),
        "state's policy version": (state.policy_version, expected.steps),
        "state's prompts": (state.prompts, prompts),
        "state's answer tokens": (state.answer_tokens, tokens),
        "state's cursor": (state.cursor, evidence.cursor.position(prompts)),
        "state's draws ahead of the cursor": (state.ahead, ()),
        "state's replaced draws": (state.replaced, 0),
    }
    yield from (f"{what} is {found}, not {right}" for what, (found, right) in wanted.items() if found != right)


def _journal(evidence: Evidence, expected: Expected) -> Iterator[str]:
    """What was durable before a step is what the step trained on, whatever attempt it was."""
    for step, found in sorted(evidence.journal.items()):
        if step in evidence.samples and list(found) != list(evidence.samples[step]):
            yield f"step {step}: its samples are not those of its journal"
    kept = [step for step in range(1, expected.steps + 1) if step > expected.checkpoints[0]]
    if list(evidence.journal_left) != kept:
        yield f"the journal has the steps {list(evidence.journal_left)} at the end, not {kept}"


def _checkpoints(evidence: Evidence, expected: Expected) -> Iterator[str]:
    if list(evidence.checkpoints) != expected.checkpoints:
        yield f"complete checkpoints are of steps {list(evidence.checkpoints)}, not {expected.checkpoints}"


def _attempts(evidence: Evidence) -> Iterator[str]:
    """No attempt goes back behind another's checkpoint, and a step that is trained again is the same step."""
    if list(evidence.taken_up) != sorted(evidence.taken_up):
        yield f"attempts took up steps {list(evidence.taken_up)}: one went back"
    first: dict[int, StepDone] = {}
    for done in evidence.done:
        if (before := first.setdefault(done.step, done)) != done:
            yield f"step {done.step} was another when it was trained again: {before}, then {done}"
