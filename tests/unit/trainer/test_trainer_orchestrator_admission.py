"""Admission: what may be sampled when, and which groups make a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import RunChanged
from tests.orchestrator_builders import timetable


def admission(prompts: int = 2, steps: int = 6, staleness: int = 0, first: int = 0, ahead: tuple[int, ...] = ()):
    return Admission(timetable((steps, prompts)), max_staleness=staleness, first=first, ahead=ahead)


@pytest.mark.parametrize(
    ("staleness", "admitted"),
    [
        (0, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]),
        (1, [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9], [10, 11], []]),
        (9, [list(range(12)), [], [], [], [], []]),
    ],
)
def test_a_group_is_admitted_when_it_fits_and_never_past_the_last_step(
    staleness: int, admitted: list[list[int]]
) -> None:
    """Two prompts a step, six steps: at version v the draws of the steps up to v + 1 + staleness."""
    one = admission(staleness=staleness)
    assert [one.admit(version) for version in range(6)] == admitted


def test_a_long_answer_holds_the_batch_only_when_its_bound_asks() -> None:
    """Staleness 1: draw 0 never ends. Step 1 goes on without it; step 2 must have it."""
    one = admission(staleness=1)
    one.admit(0)
    assert one.choose(1, [1, 2]) == [1, 2]
    one.trained(1, [1, 2])
    one.admit(1)
    assert one.choose(2, [3, 4, 5]) is None
    assert one.choose(2, [0, 3, 4, 5]) == [0, 3]


def test_a_young_group_is_taken_early_only_where_older_ones_can_still_be_in_time() -> None:
    """Staleness 2: two of the first six may be passed over by younger ones, but not more than fit step 3."""
    one = admission(staleness=2)
    one.admit(0)
    one.trained(1, [0, 1])
    one.admit(1)
    assert one.choose(2, [6, 7]) is None, "2, 3, 4 and 5 are all due in step 3, which has place for two"
    assert one.choose(2, [2, 6]) is None
    assert one.choose(2, [5, 3, 6]) == [3, 5]


def test_a_synchronous_batch_is_the_draws_of_its_step() -> None:
    """Without staleness nothing is begun ahead, and every draw of the step is waited for."""
    one = admission()
    assert one.admit(0) == [0, 1]
    assert one.choose(1, [1]) is None
    assert one.choose(1, [1, 0]) == [0, 1]


def test_a_batch_is_of_one_stage_though_the_next_one_is_under_way() -> None:
    """Staleness 1, two stages of two steps, two prompts a step and then one: step 2 waits for the rest of its stage."""
    one = Admission(timetable((2, 2), (2, 1)), max_staleness=1)
    assert one.admit(0) == [0, 1, 2, 3]
    one.trained(1, [0, 2])
    assert one.admit(1) == [4]
    assert one.choose(2, [3, 4]) is None
    assert one.choose(2, [1, 3, 4]) == [1, 3]
    one.trained(2, [1, 3])
    assert one.admit(2) == [5]
    assert one.choose(3, [5]) is None, "4 is due in step 3, which has place for one"
    assert one.choose(3, [4, 5]) == [4]
    with pytest.raises(RunChanged, match=r"step 3 has draws \[4, 5\]; it needs 1 of those from 4 to 5"):
        one.trained(3, [5, 4])


STAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3)


@given(data=st.data(), stages=STAGES, staleness=st.integers(0, 4))
def test_every_prompt_is_trained_once_and_in_time_whatever_finishes_when(
    data: st.DataObject, stages: list[tuple[int, int]], staleness: int
) -> None:
    """Groups finish in any order, stages end early, and the run is taken up anew at any step: none lost or stuck."""
    one = Admission(timetable(*stages), max_staleness=staleness)
    begun: dict[int, int] = {}
    of_stage: dict[int, int] = {}
    trained: list[int] = []
    finished: set[int] = set()
    step = 0
    while (step := step + 1) <= one.timetable.total_steps:
        if data.draw(st.booleans(), "resumed"):
            one = Admission(one.timetable, max_staleness=staleness, first=one.first, ahead=one.ahead)
            begun, finished = {}, set()
        admitted = one.admit(step - 1)
        begun |= dict.fromkeys(admitted, step - 1)
        of_stage |= {draw: one.timetable.index_of_draw(draw) for draw in admitted}
        while (batch := one.choose(step, finished)) is None:
            waiting = sorted(set(begun) - finished - set(trained))
            assert waiting, "all that was admitted is there, and no batch can be made of it"
            finished.add(data.draw(st.sampled_from(waiting), "finished"))
        one.trained(step, batch)
        trained += batch
        finished -= set(batch)
        index = one.timetable.index_of(step)
        assert len(batch) == one.timetable.stages[index].algorithm.prompts_per_step
        assert {of_stage[draw] for draw in batch} == {index}
        assert all(step - 1 - begun[draw] <= staleness for draw in batch)
        # As advancing does it: the stage ends once what is admitted is trained, if that is before its last step.
        if step + staleness < one.timetable.last_step(index) and data.draw(st.booleans(), "ends early"):
            one.timetable = one.timetable.ended_with(step + staleness)
    draws = one.timetable.draws_through(one.timetable.total_steps)
    assert sorted(trained) == list(range(draws))
    assert (one.first, one.ahead) == (draws, ())


@pytest.mark.parametrize("draws", [[0, 0], [0], [0, 4], [0, -1], [0, 2]])
def test_a_batch_that_its_step_could_not_have_had_is_refused(draws: list[int]) -> None:
    """A draw twice, too few, one of a later step, one that is trained already: the journal is of another run."""
    one = admission(first=0, ahead=(2,), staleness=1)
    with pytest.raises(RunChanged, match="step 1 has draws"):
        one.trained(1, draws)
