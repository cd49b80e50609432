"""Admission: what may be sampled when, and which groups make a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.failures import RunChanged
from tests.orchestrator_builders import timetable


def admission(
    prompts: int = 2, steps: int = 6, staleness: int = 0, first: int = 0, ahead: tuple[int, ...] = (),
    max_draws: int = 1, replaced: int = 0,
) -> Admission:  # fmt: skip
    table = timetable((steps, prompts), max_draws=max_draws)
    return Admission(table, max_staleness=staleness, first=first, ahead=ahead, replaced=replaced)


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
    with pytest.raises(
        RunChanged, match=r"step 3 has draws \[4, 5\] and replaced \[\]; it needs 1 of those from 4 to 5"
    ):
        one.trained(3, [5, 4])


def test_one_draw_more_begins_for_each_that_was_replaced_and_no_more_than_the_bound() -> None:
    """Two may be replaced before the first batch, and again two before the second."""
    one = admission(max_draws=2)
    assert one.admit(0) == [0, 1]
    assert one.replace(1)
    assert one.admit(0) == [2]
    assert one.replace(2)
    assert one.admit(0) == [3]
    assert not one.replace(3)
    assert one.choose(1, [0, 3]) == [0, 3]
    assert one.trained(1, [0, 3], [1, 2]) == []
    assert (one.first, one.ahead, one.replaced) == (4, (), 2)
    assert one.admit(1) == [4, 5]
    assert one.replace(4)
    assert one.admit(1) == [6]


def test_what_replaces_is_of_the_stage_that_it_is_for() -> None:
    """Staleness 1, two stages of one step: what is replaced before step 1 is of the first, whatever the numbers say."""
    one = Admission(timetable((1, 2), (1, 2), max_draws=3), max_staleness=1)
    assert [one.stage_of(draw) for draw in one.admit(0)] == [0, 0, 1, 1]
    assert [one.replace(draw) for draw in (0, 1, 3)] == [True, True, False], "3 is of the second stage"
    assert [(draw, one.stage_of(draw)) for draw in one.admit(0)] == [(4, 0), (5, 0)]
    assert one.choose(1, [2, 3, 4]) is None
    assert one.choose(1, [2, 3, 4, 5]) == [4, 5]
    assert one.trained(1, [4, 5], [0, 1]) == []
    assert (one.first, one.ahead, one.replaced) == (2, (4, 5), 2)
    resumed = Admission(one.timetable, max_staleness=1, first=one.first, ahead=one.ahead, replaced=one.replaced)
    assert [(draw, resumed.stage_of(draw)) for draw in resumed.admit(1)] == [(2, 1), (3, 1)]
    assert one.replace(3)
    assert [(draw, one.stage_of(draw)) for draw in one.admit(1)] == [(6, 1)]
    assert one.trained(2, [2, 6], [3]) == []
    assert (one.first, one.ahead, one.replaced) == (7, (), 3)


def test_each_stage_has_the_bound_of_its_own_batch() -> None:
    """Two draws for each prompt: one may be replaced in a step of one prompt, three in a step of three."""
    one = Admission(timetable((1, 1), (1, 3), max_draws=2), max_staleness=0)
    assert one.admit(0) == [0]
    assert one.replace(0)
    assert one.admit(0) == [1]
    assert not one.replace(1)
    one.trained(1, [1], [0])
    assert one.admit(1) == [2, 3, 4]
    assert [one.replace(draw) for draw in (2, 3, 4)] == [True] * 3
    assert one.admit(1) == [5, 6, 7]
    assert not one.replace(5)


def test_what_another_attempts_batch_leaves_no_place_for_is_begun_anew() -> None:
    """Staleness 2: it took 6 and 7, which were not due. 2 to 5 are due in step 3, which has place for two of them."""
    one = admission(staleness=2)
    one.admit(0)
    one.trained(1, [0, 1])
    assert one.admit(1) == [6, 7]
    assert one.trained(2, [6, 7]) == [4, 5]
    assert one.admit(2) == [4, 5, 8, 9]
    assert one.choose(3, [4, 5, 8, 9]) is None, "2 and 3 are still due in step 3"
    assert one.choose(3, [2, 3, 4, 5]) == [2, 3]


def test_what_another_attempts_batch_leaves_of_a_stage_that_is_over_is_begun_anew_for_the_next() -> None:
    """It replaced 0 and took 2 and 3, which here are of the second stage: 1 has no place in the first any more."""
    one = Admission(timetable((1, 2), (2, 2), max_draws=2), max_staleness=1)
    assert one.admit(0) == [0, 1, 2, 3]
    assert one.trained(1, [2, 3], [0]) == [1]
    assert [(draw, one.stage_of(draw)) for draw in one.admit(1)] == [(1, 1), (4, 1), (5, 1), (6, 1)]
    assert one.choose(2, [4, 5]) == [4, 5]


STAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3)


@given(data=st.data(), stages=STAGES, staleness=st.integers(0, 4), max_draws=st.integers(1, 4))
def test_with_groups_replaced_every_draw_is_trained_or_replaced_once_and_in_time(
    data: st.DataObject, stages: list[tuple[int, int]], staleness: int, max_draws: int
) -> None:
    """Groups finish in any order, with signal or without; stages end early; the run is killed anywhere.

    What is durable is the batch with what it replaced. No draw is lost or done with twice, nothing is stale or stuck or
    changes its stage, the bound holds in every step, and a group without signal is trained on only where the bound was
    reached.
    """
    one = Admission(timetable(*stages, max_draws=max_draws), max_staleness=staleness)
    begun: dict[int, tuple[int, int]] = {}
    finished = set[int]()
    replaced: dict[int, int] = {}
    signal: dict[int, bool] = {}
    done: list[int] = []

    def admit(version: int) -> None:
        through = version + 1 + staleness
        admitted = one.admit(version)
        assert not set(admitted) & (set(done) | set(begun) | set(replaced))
        begun.update({draw: (version, one.stage_of(draw)) for draw in admitted})
        for index in {one.stage_of(draw) for draw in admitted}:
            assert version + 1 <= one.timetable.last_step(index)
            assert one.timetable.first_step(index) <= through

    def replace(version: int) -> None:
        for draw in sorted(finished):
            if not signal[draw] and one.replace(draw):
                finished.remove(draw)
                replaced[draw] = begun.pop(draw)[1]
        admit(version)

    def taken_up() -> Admission:
        begun.clear()
        finished.clear()
        replaced.clear()
        first, ahead = before(one, done)
        return Admission(one.timetable, max_staleness=staleness, first=first, ahead=ahead, replaced=one.replaced)

    step = 0
    while (step := step + 1) <= one.timetable.total_steps:
        if data.draw(st.booleans(), "resumed"):
            one = taken_up()
        admit(step - 1)
        replace(step - 1)
        killed = data.draw(st.integers(0, 3), "killed after so many groups") or None
        while (batch := one.choose(step, finished)) is None:
            if killed == len(finished) + len(replaced):
                one, killed = taken_up(), None
                admit(step - 1)
            waiting = sorted(set(begun) - finished)
            assert waiting, "all that was admitted is there, and no batch can be made of it"
            draw = data.draw(st.sampled_from(waiting), "finished")
            signal.setdefault(draw, data.draw(st.booleans(), "signal"))
            finished.add(draw)
            replace(step - 1)
        index = one.timetable.index_of(step)
        size = one.timetable.stages[index].algorithm.prompts_per_step
        most = size * (max_draws - 1)
        assert len(batch) == size
        assert len(replaced) <= most
        assert {begun[draw][1] for draw in batch} | set(replaced.values()) == {index}
        assert all(step - 1 - begun[draw][0] <= staleness for draw in batch)
        assert len(replaced) == most or all(signal[draw] for draw in batch)
        assert one.trained(step, batch, sorted(replaced)) == []
        done += [*batch, *replaced]
        finished -= set(batch)
        for draw in batch:
            del begun[draw]
        replaced.clear()
        if step < one.timetable.total_steps:
            replace(step - 1)  # as the pool does it, while the ranks train
        # As advancing does it: the stage ends once what is admitted is trained, if that is before its last step.
        if step + staleness < one.timetable.last_step(index) and data.draw(st.booleans(), "ends early"):
            one.timetable = one.timetable.ended_with(step + staleness)
        assert {draw: one.stage_of(draw) for draw in begun} == {draw: stage for draw, (_, stage) in begun.items()}
    assert sorted(done) == list(range(len(done)))
    assert len(done) == one.timetable.prompts_through(one.timetable.total_steps) + one.replaced
    assert (one.first, one.ahead, begun) == (len(done), (), {})


def before(one: Admission, done: list[int]) -> tuple[int, tuple[int, ...]]:
    """What a checkpoint of what is durable holds: the first draw that is not done with, and those beyond that are."""
    first = next(draw for draw in range(len(done) + 1) if draw not in done)
    assert (one.first, one.ahead) == (first, tuple(sorted(draw for draw in done if draw > first)))
    return first, one.ahead


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
        of_stage |= {draw: one.timetable.index_of_prompt(draw) for draw in admitted}
        assert [one.stage_of(draw) for draw in admitted] == [of_stage[draw] for draw in admitted]
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
    draws = one.timetable.prompts_through(one.timetable.total_steps)
    assert sorted(trained) == list(range(draws))
    assert (one.first, one.ahead) == (draws, ())


@pytest.mark.parametrize("draws", [[0, 0], [0], [0, 4], [0, -1], [0, 2]])
def test_a_batch_that_its_step_could_not_have_had_is_refused(draws: list[int]) -> None:
    """A draw twice, too few, one of a later step, one that is trained already: the journal is of another run."""
    one = admission(first=0, ahead=(2,), staleness=1)
    with pytest.raises(RunChanged, match="step 1 has draws"):
        one.trained(1, draws)


@pytest.mark.parametrize("replaced", [[0], [2], [6], [3, 3]])
def test_replaced_draws_that_its_step_could_not_have_had_are_refused(replaced: list[int]) -> None:
    """One that it trained on, one that is done with already, one of a later step, one twice."""
    one = admission(first=0, ahead=(2,), staleness=1)
    with pytest.raises(RunChanged, match="step 1 has draws"):
        one.trained(1, [0, 1], replaced)
