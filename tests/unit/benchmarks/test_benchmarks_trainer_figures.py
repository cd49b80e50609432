"""The arithmetic of the training benchmark's parts and its report, on made-up measurements."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trainer import __main__ as command
from benchmarks.trainer import overlap, parts_alone, time_to_score, waiting
from benchmarks.trainer.report import FIGURES, report, rows
from benchmarks.trainer.step_log import Step
from benchmarks.trainer.time_to_score import Curve
from deepcoder_trainer.orchestrator.generation import Answer


def step(
    number: int, done: float, *, idle: float = 0.0, optimising: float = 1.0, tokens: int = 600, **parts: float
) -> Step:
    return Step(number, done, parts, optimising, idle, tokens, 0.5, 0.0, 0.5)


def group(at: float, tokens: int, reason: Any = "stop") -> parts_alone.Finished:
    answer = Answer("", tuple(range(tokens)), (0.0,) * tokens, (0,) * tokens, reason)
    return parts_alone.Finished("problem", [answer], at)


def test_tokens_per_second_are_of_the_middle() -> None:
    """Two at once: the first two fill the pipe, the last empties it; 60 tokens come between seconds 2 and 5."""
    finished = [group(1, 1000), group(2, 1000), group(3, 10), group(4, 20), group(5, 30), group(6, 1000)]
    assert parts_alone.tokens_per_second(finished, 2) == 20.0
    with pytest.raises(ValueError, match="generate more"):
        parts_alone.tokens_per_second(finished[:3], 2)


def test_limit_is_generation_or_what_shares_the_other_core() -> None:
    """Generation 600 tokens at 100 a second; training 1 s and grading 2 s on the other core."""
    sync = [step(number, 12.0 * number) for number in range(1, 4)]
    overlapped = [step(number, 7.5 * number) for number in range(1, 4)]
    modes = {"sync": sync, "async": overlapped, "async_keep_kv": [step(number, 8.0 * number) for number in range(1, 4)]}
    found = overlap.figures(modes, [overlap.Alone(100.0, 2.0)] * 3)
    assert found["alone_seconds_per_step"] == {"generation": 6.0, "training": 1.0, "grading": 2.0}
    assert (found["limit_set_by"], found["limit_seconds_per_step"]) == ("generation", 6.0)
    assert (found["async_over_limit"], found["async_over_sync"]) == (0.8, 1.6)
    assert (found["async_keep_kv_over_limit"], found["async_keep_kv_over_sync"]) == (0.75, 1.5)
    found = overlap.figures(modes, [overlap.Alone(200.0, 4.0)] * 3)
    assert (found["limit_set_by"], found["limit_seconds_per_step"]) == ("training and grading", 5.0)


def test_a_mode_is_beside_what_was_measured_around_it() -> None:
    """The machine is slower by a third when the second asynchronous mode is measured."""
    modes = {mode: [step(number, 10.0 * number) for number in range(1, 4)] for mode in (overlap.SYNC, *overlap.ASYNC)}
    alone = [overlap.Alone(rate, 1.0) for rate in (150.0, 50.0, 100.0)]
    found = overlap.figures(modes, alone)
    assert found["alone_seconds_per_step"]["generation"] == 6.0
    assert (found["async_over_limit"], found["async_keep_kv_over_limit"]) == (0.6, 0.8)


def test_answers_lengths() -> None:
    """Percentiles are lengths that were seen."""
    answers = [*group(0, 10).answers, *group(0, 20).answers, *group(0, 60, "length").answers]
    found = overlap.lengths(answers)
    assert (found["p50"], found["p99"], found["max"], found["mean"]) == (20, 60, 60, 30.0)
    assert found["truncated"] == pytest.approx(1 / 3, abs=1e-3)


def curve(seconds_per_step: float, *steps: int) -> Curve:
    seconds = {number: seconds_per_step * number for number in range(1, 10)}
    return Curve(seconds, {"sample": 1.0}, {number: Path(f"step-{number}") for number in steps})


def test_reached_is_the_first_measured_step_at_the_threshold() -> None:
    """Between steps that are measured nothing is made up."""
    found = time_to_score.way(curve(2.0, 3, 6, 9), {3: 0.5, 6: 0.8, 9: 0.7}, 0.8)
    assert (found["step_reached"], found["seconds_reached"], found["seconds_per_step"]) == (6, 12.0, 2.0)
    assert found["curve"] == [[3, 6.0, 0.5], [6, 12.0, 0.8], [9, 18.0, 0.7]]
    never = time_to_score.way(curve(2.0, 3), {3: 0.79}, 0.8)
    assert (never["step_reached"], never["seconds_reached"]) == (None, None)


def ways(trl: float | None, ours: float | None, ours_async: float | None) -> dict[str, Any]:
    seconds = {"trl": trl, "ours": ours, "ours_async": ours_async}
    return {"ways": {name: {"seconds_reached": value, "seconds_per_step": 2.0} for name, value in seconds.items()}}


def test_ratio_is_the_median_over_seeds_that_both_reached() -> None:
    """2, 3 and 4 times as long; a seed that one of them did not finish has no ratio."""
    seeds = [ways(100, 50, 25), ways(300, 100, 100), ways(400, 100, None), ways(None, 50, 50)]
    found = time_to_score.summary(seeds, 0.8)
    assert found["seconds_to_080_trl_over_ours"] == 3.0
    assert found["seconds_to_080_trl_over_ours_async"] == 3.5
    assert found["seconds_per_step_trl_over_ours"] == 1.0
    assert time_to_score.summary([ways(None, 50, 50)], 0.8)["seconds_to_080_trl_over_ours"] is None


def test_seeds_are_tried_until_enough_were_reached_by_every_way() -> None:
    """A base model that cannot reach the threshold is told and another one tried, but not for ever."""
    good, bad = ways(100, 50, 25), ways(100, 50, None)
    assert time_to_score.missing([], 1)
    assert not time_to_score.missing([good], 1)
    assert time_to_score.missing([bad], 1)
    assert not time_to_score.missing([bad, bad], 1)
    assert time_to_score.missing([good, bad, good], 3)
    assert not time_to_score.missing([good, bad, good, good], 3)


def test_trls_parts_are_told_apart() -> None:
    """Sampling, its grades and what follows them are inside a training step's time; each second counts once."""
    first = {"sync_weights": 0.5, "sample": 4.0, "grade": 3.0, "all_of_sampling": 8.0, "all_of_training_step": 10.0}
    second = {**first, "sample": 6.0, "all_of_sampling": 10.0, "all_of_training_step": 12.0}
    found = time_to_score.trl_parts([{"seconds": 10.5, "parts": first}, {"seconds": 23.0, "parts": second}])
    assert found == {
        "sync_weights": 0.5, "sample": 5.0, "grade": 3.0, "score": 0.5, "forward_backward": 2.0, "rest": 0.5,
    }  # fmt: skip


def test_waiting_is_the_median_over_seeds_of_the_worse_mode() -> None:
    """Idle: 10, 20 and 30 percent in turn, none when sampling goes ahead."""

    def steps(idle: float) -> Sequence[Step]:
        return [step(number, 10.0 * number, idle=idle) for number in range(1, 6)]

    measured = {seed: {"sync": steps(idle), "async": steps(0.0)} for seed, idle in enumerate((3.0, 1.0, 2.0))}
    found = waiting.summary("idle_share", measured, lambda steps: sum(one.idle for one in steps) / 10 / len(steps))
    assert found["idle_share"] == found["by_mode"]["sync"] == 0.2
    assert found["by_mode"]["async"] == 0.0
    assert [seed["seed"] for seed in found["seeds"]] == [0, 1, 2]


def test_report_has_the_figures_with_an_aim_on_top() -> None:
    """What was not measured is left out, what could not be shows as a dash, and a failure is told."""
    figures = report({"f": {"checkpoint_wait_share": 0.01, "seeds": []}, "c": {}}, {"d": "TimeoutError: x"})
    assert figures["checkpoint_wait_share"] == 0.01
    assert figures["parts"]["f"]["seeds"] == []
    assert figures["failed"] == {"d": "TimeoutError: x"}
    assert "idle_share" not in figures
    assert rows(figures) == [("weight_update_over_memcpy", "-", ""), ("checkpoint_wait_share", "0.01", "under 0.02")]
    assert "failed" not in report({}, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "z"], "--only: 'z': z; there are a, b, c, d, e, f, g"),
        (["--only", ""], "--only: '': no part"),
        (["--seeds", "0"], "--seeds: 0; at least 1"),
        (["--steps", "5"], "--steps: 5; at least 6"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything starts."""
    monkeypatch.setattr(sys, "argv", ["benchmarks.trainer", *arguments])
    with pytest.raises(SystemExit):
        command.options()
    assert said in capsys.readouterr().err


def test_one_command_has_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options every part is measured, and each figure of the first level is some part's."""
    monkeypatch.setattr(sys, "argv", ["benchmarks.trainer"])
    found = command.options()
    assert (found.seeds, found.steps) == (3, None)
    assert {figure.part for figure in FIGURES} == set(found.only)
    assert {figure.key for figure in FIGURES} >= {
        "seconds_to_080_trl_over_ours", "async_over_limit", "async_over_sync", "weight_update_over_memcpy",
        "idle_share", "peak_memory_slope", "checkpoint_wait_share",
    }  # fmt: skip
