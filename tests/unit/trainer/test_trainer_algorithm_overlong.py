"""What an answer's length does to its reward and its advantage: DAPO's punishment, rLLM's filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.presets import DAPO, GRPO_PLUS, PRESETS, RLLM_RELEASE
from deepcoder_trainer.algorithm.advantages import group_advantages
from deepcoder_trainer.algorithm.overlong import answer_advantages, soft_overlong_punishment


@pytest.mark.parametrize(
    ("tokens", "punishment"), [(1, 0), (16384, 0), (17408, -0.25), (18432, -0.5), (20480, -1), (24576, -1)]
)
def test_the_papers_numbers_by_hand(tokens: int, punishment: float) -> None:
    """20,480 tokens with a buffer of 4,096: nothing up to 16,384, then a 4,096th a token; over the limit no more."""
    assert soft_overlong_punishment([tokens], 20480, 0.2, 1.0)[0] == pytest.approx(punishment, abs=1e-12)


@given(st.integers(1, 100), st.integers(5, 100), st.floats(0, 3))
def test_equals_verl(tokens: int, buffer: int, factor: float) -> None:
    """verl's DAPO reward manager, restated: min(-exceeded / buffer x factor, 0), its buffer in tokens."""
    limit = 100
    expected = min(-(tokens - (limit - buffer)) / buffer * factor, 0)
    found = soft_overlong_punishment([tokens], limit, buffer / limit, factor)[0]
    assert found == pytest.approx(expected, abs=1e-9)


REWARDS, GROUPS, TRUNCATED = [1.0, 0.0, 0.0, 1.0], [0] * 4, [False, True, False, True]


def advantages(algorithm: Algorithm, answer_tokens: list[int]) -> np.ndarray:
    return answer_advantages(REWARDS, GROUPS, TRUNCATED, answer_tokens, max_response_tokens=100, algorithm=algorithm)


@pytest.mark.parametrize("preset", ["grpo", "grpo-plus", "gspo", "cispo"])
def test_elsewhere_neither_length_nor_limit_matters(preset: str) -> None:
    """The advantage is that of the grades; what is masked is masked in the loss."""
    expected = group_advantages(REWARDS, GROUPS)
    assert advantages(PRESETS[preset], [10, 100, 90, 100]).tolist() == expected.tolist()  # type: ignore[index]


def test_rllms_filter_by_hand() -> None:
    """Of two truncated answers the one that passed keeps its advantage; both count in the mean (1/2) and the std."""
    a = 0.5 / ((4 * 0.25 / 3) ** 0.5 + 1e-6)
    assert advantages(RLLM_RELEASE, [10, 100, 90, 100]).tolist() == pytest.approx([a, 0, -a, a], rel=1e-12)
    unfiltered = RLLM_RELEASE.model_copy(update={"overlong_filter": False})
    assert advantages(unfiltered, [10, 100, 90, 100])[1] == pytest.approx(-a, rel=1e-12)


def test_dapos_punishment_by_hand() -> None:
    """Rewards 1 0 0 1 less 0 1/2 1/4 1/2: 1, -1/2, -1/4, 1/2; mean 3/16."""
    shaped = np.array([1, -0.5, -0.25, 0.5])
    expected = (shaped - 3 / 16) / (shaped.std(ddof=1) + 1e-6)
    assert advantages(DAPO, [10, 100, 90, 100]) == pytest.approx(expected, rel=1e-12)


def test_a_punishment_is_a_signal_where_grades_are_equal() -> None:
    """Two wrong answers of which one is too long: the shorter is the better one."""
    found = answer_advantages([0, 0], [0, 0], [False, True], [10, 100], max_response_tokens=100, algorithm=DAPO)
    assert found[0] > 0 > found[1]


def test_a_masked_answer_counts_in_its_group() -> None:
    """grpo-plus: the truncated answer's real grade moves the others' advantages."""
    with_it = answer_advantages([1, 0, 0], [0] * 3, [False, False, True], [1, 1, 9], max_response_tokens=9,
                                algorithm=GRPO_PLUS)  # fmt: skip
    assert with_it[0] == pytest.approx((2 / 3) / (3**-0.5 + 1e-6), rel=1e-9)
