"""Signs that training goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.guards import Finding, Guards, StepFigures, repeats, step_figures

SOUND = StepFigures(step=1, groups_without_signal=0.5, repeating=0.01, entropy=0.4, gradient_norm=0.2, sampler_kl=0.001)


def after(*changes: Mapping[str, float | None], sound_steps: int = 12) -> tuple[Finding, ...]:
    """What is found after the last of the steps `changes`, which follow sound ones."""
    guards, found = Guards(), ()
    for step, change in enumerate([{}] * sound_steps + list(changes), 1):
        found = guards.look(replace(SOUND, step=step, **change))
    return found


@pytest.mark.parametrize(
    ("change", "steps", "name", "stops"),
    [
        ({"sampler_kl": 0.06}, 3, "SamplerApart", False),
        ({"sampler_kl": 0.6}, 3, "SamplerApart", True),
        ({"gradient_norm": 11.0}, 3, "GradientExploded", False),
        ({"entropy": 0.01}, 5, "EntropyCollapsed", False),
        ({"entropy": 1.3}, 5, "EntropyGrown", False),
        ({"groups_without_signal": 1.0}, 10, "NoSignal", False),
        ({"repeating": 0.3}, 3, "AnswersRepeat", False),
    ],
)
def test_a_sign_counts_when_it_lasts(change: dict[str, float | None], steps: int, name: str, stops: bool) -> None:
    """One step fewer says nothing; a sound step ends it."""
    assert after(*[change] * (steps - 1)) == ()
    [found] = after(*[change] * steps)
    assert (found.name, found.stops) == (name, stops)
    assert str(found).startswith(f"{name}: ")
    assert after(*[change] * steps, {}) == ()


def test_the_gravest_is_told_first() -> None:
    """What stops a run comes before what only warns."""
    found = after(*[{"repeating": 0.5, "sampler_kl": 0.9}] * 3)
    assert [finding.name for finding in found] == ["SamplerApart", "AnswersRepeat"]


@given(st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.05, 1.0), st.floats(0, 5), st.floats(0, 0.04))))
def test_a_run_that_learns_is_left_alone(steps: list[tuple[float, float, float, float]]) -> None:
    """Whatever the order of values that sound runs have: signal, entropy, gradients under 50 times 0.2, a small gap."""
    changes = [
        {"groups_without_signal": signal, "entropy": entropy, "gradient_norm": norm, "sampler_kl": gap}
        for signal, entropy, norm, gap in steps
    ]
    assert after(*changes) == ()


def test_what_the_ranks_did_not_compute_is_not_judged() -> None:
    """A step in which no group had a signal has neither gradient nor entropy."""
    unknown: dict[str, float | None] = {"entropy": None, "gradient_norm": None, "sampler_kl": None}
    assert after(*[unknown] * 9) == ()
    assert after({"sampler_kl": 0.9}, unknown, {"sampler_kl": 0.9}) == ()


@given(phrase=st.lists(st.integers(0, 9), min_size=1, max_size=64), start=st.lists(st.integers(0, 9), max_size=50))
def test_an_answer_that_ends_in_one_phrase_repeats(phrase: list[int], start: list[int]) -> None:
    """However it begins; with one token of the end changed it does not, nor when it is short."""
    answer = start + phrase * 300
    assert repeats(answer)
    assert not repeats(phrase[:1] * 255)
    changed = [*answer[:-100], 11, *answer[-99:]]
    assert not repeats(changed)


def test_figures_are_shares_of_the_batch() -> None:
    """Of groups without a signal, and of answers that repeat."""
    figures = step_figures(3, 1, 4, [[7] * 300, list(range(300))], {"entropy": 0.5, "loss": 1.0})
    assert figures == StepFigures(step=3, groups_without_signal=0.25, repeating=0.5, entropy=0.5)
