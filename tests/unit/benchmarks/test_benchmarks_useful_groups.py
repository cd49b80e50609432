"""Part g's arithmetic: tokens for a useful group by filter and by dynamic sampling, and what a server counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.trainer.our_run import Generated, tokens_of
from benchmarks.trainer.runs import Shape, quickstart_run
from benchmarks.trainer.step_log import Step
from benchmarks.trainer.useful_groups import HOPELESS_OUTPUT, WAYS, Taken, figures, half_hopeless, summary, taken
from deepcoder_api.resolve import ResolvedRun

METRICS = """# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="policy"} 1200.0
vllm:generation_tokens_total{engine="1",model_name="policy"} 34.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="policy"} 7.0
"""


def way(useful: float, training: int, rating: int = 0) -> Taken:
    return Taken(Generated(rating, training), useful, 100, 2.0, 512, {})


def run_by(name: str) -> ResolvedRun:
    shape = Shape(name, 12, **WAYS[name])
    return quickstart_run(shape, base=Path("/base"), storage="s3://bench/runs", endpoint="http://s3")


def test_filters_rating_is_paid_once() -> None:
    """100 tokens a useful group in training and 8,000 before it, beside 200: 80 groups later it was worth it."""
    found = figures({"plain": way(20, 10_000), "filter": way(40, 4000, rating=8000), "dynamic": way(50, 10_000)})
    assert found["filter_over_dynamic_tokens"] == 1.5
    assert found["filter_training_over_dynamic_tokens"] == 0.5
    assert found["filter_pays_after"] == 80
    tokens = {name: one["tokens_per_useful_group"] for name, one in found["ways"].items()}
    assert tokens == {"plain": 500.0, "filter": 300.0, "dynamic": 200.0}
    assert found["ways"]["filter"]["useful_share"] == 0.4


def test_filter_that_saves_nothing_never_pays() -> None:
    """As many tokens in training as dynamic sampling takes, and the rating on top."""
    found = figures({"plain": way(20, 4000), "filter": way(20, 4000, rating=10), "dynamic": way(20, 4000)})
    assert found["filter_pays_after"] is None
    assert found["filter_over_dynamic_tokens"] == 1.002


def test_run_without_a_useful_group_has_no_figure() -> None:
    """Rather than an endless ratio."""
    with pytest.raises(ValueError, match="dynamic: no group"):
        figures({"plain": way(1, 1), "filter": way(1, 1), "dynamic": way(0, 100)})


def test_useful_groups_are_those_with_signal() -> None:
    """Half of 16 and a quarter of 16, in two steps two seconds apart."""
    steps = [
        Step(number, 2.0 * number, {}, 1.0, 0.0, 100, 0.5, 0.0, signal) for number, signal in ((1, 0.5), (2, 0.25))
    ]
    found = taken(steps, Generated(0, 200), 16, 40, {"too_hard": 8})
    assert (found.useful, found.groups, found.seconds_per_step, found.tokens) == (12.0, 32, 2.0, 200)
    assert (found.problems, found.dropped) == (40, {"too_hard": 8})


def test_ratios_are_medians_over_seeds() -> None:
    """Of 1, 2 and 4."""
    seeds = {
        seed: {"plain": way(1, 1), "filter": way(1, ratio * 100), "dynamic": way(1, 100)}
        for seed, ratio in enumerate((4, 1, 2))
    }
    found = summary(seeds)
    assert found["filter_over_dynamic_tokens"] == found["filter_training_over_dynamic_tokens"] == 2.0
    assert [seed["seed"] for seed in found["seeds"]] == [0, 1, 2]


def test_ways_differ_in_nothing_but_the_filter_and_dynamic_sampling() -> None:
    """One rates problems, one replaces groups; batch, sampling and steps are the same."""
    plain, filtered, dynamic = map(run_by, ("plain", "filter", "dynamic"))
    assert plain.spec.data.difficulty is None
    assert filtered.spec.data.difficulty is not None
    assert (filtered.spec.data.difficulty.keeps(0), filtered.spec.data.difficulty.keeps(8)) == (False, False)
    assert filtered.algorithm == plain.algorithm
    assert (plain.algorithm.most_replaced_per_step, dynamic.algorithm.most_replaced_per_step) == (0, 144)
    assert dynamic.spec.data == plain.spec.data
    assert dynamic.algorithm.model_copy(update={"max_draws_per_prompt": 1}) == plain.algorithm


def test_every_second_problem_is_made_hopeless_and_nothing_else_is_changed(tmp_path: Path) -> None:
    """Same model, prompts and inputs; asked a second time the folder is as it is."""
    base = tmp_path / "base"
    (base / "model").mkdir(parents=True)
    problems = [{"id": str(number), "tests": [{"input": "1\n", "output": "2\n"}]} for number in range(5)]
    (base / "training.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    for _ in range(2):
        folder = half_hopeless(base, tmp_path / "half")
        assert (folder / "model").resolve() == base / "model"
        found = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
        assert found[0::2] == problems[0::2]
        assert [problem["id"] for problem in found] == ["0", "1", "2", "3", "4"]
        assert [problem["tests"] for problem in found[1::2]] == [[{"input": "1\n", "output": HOPELESS_OUTPUT}]] * 2


def test_generated_tokens_are_the_servers_own_count() -> None:
    """Of all its engines; a server that does not tell is no server that generated nothing."""
    assert tokens_of(METRICS) == 1234
    with pytest.raises(ValueError, match="generation_tokens_total"):
        tokens_of("# nothing\n")
