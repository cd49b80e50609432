"""examples/ablations: each file is the quickstart with one part of GRPO+ the other way round, and nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ablation.__main__ import as_json
from benchmarks.ablation.plot import draw, mean_by_step, smoothed
from benchmarks.ablation.results import Result, Results
from benchmarks.ablation.variants import GRPO_PLUS, Variant, documents, variants
from deepcoder_api.algorithm import Algorithm
from deepcoder_api.manifest import TrainingRunResource, parse_resource
from deepcoder_api.resolve import ResolvedRun

VARIANTS = {variant.name: variant for variant in variants()}
PARTS = {
    "entropy-term": ("entropy_coefficient", {"entropyCoefficient": 0.001}),
    "no-clip-high": ("clip_high", {"clip": {"high": 0.2}}),
    "no-overlong-filter": ("overlong_filter", {"overlongFilter": False}),
}


def resolved(variant: Variant) -> ResolvedRun:
    """The run that the file resolves to."""
    resource = parse_resource(copy.deepcopy(variant.document))
    assert isinstance(resource, TrainingRunResource)
    return resource.resolved()


def result(variant: str, seed: int, pass_at_1: float = 0.5, **changes: Any) -> Result:
    """A run of three steps."""
    given = Result(
        variant=variant, seed=seed, specification="{}", reward=[0.1, 0.2, 0.6], entropy=[1.0, None, 0.5],
        truncated=[0.0, 0.0, 0.0], pass_at_1=pass_at_1, problems=128, seconds=9.0,
    )  # fmt: skip
    return given.model_copy(update=changes)


def test_there_is_one_file_for_each_part() -> None:
    """And GRPO+ itself, which is the quickstart."""
    assert list(VARIANTS) == [GRPO_PLUS, *sorted(PARTS)]
    assert VARIANTS[GRPO_PLUS].document["metadata"]["name"] == "quickstart"


@pytest.mark.parametrize("name", PARTS)
def test_a_file_differs_from_the_quickstart_by_its_part_alone(name: str) -> None:
    """As it is written, and as it resolves: what is changed has an effect."""
    part, fields = PARTS[name]
    quickstart, mine = copy.deepcopy(VARIANTS[GRPO_PLUS].document), copy.deepcopy(VARIANTS[name].document)
    assert mine["metadata"].pop("name") == f"ablation-{name}"
    quickstart["metadata"].pop("name")
    for field, value in fields.items():
        assert field not in quickstart["spec"]["algorithm"]
        assert mine["spec"]["algorithm"].pop(field) == value
    assert mine == quickstart
    before, after = (resolved(VARIANTS[key]).algorithm for key in (GRPO_PLUS, name))
    assert [field for field in Algorithm.model_fields if getattr(before, field) != getattr(after, field)] == [part]


def test_a_seed_is_another_base_model_and_another_sampling_seed_for_run_and_evaluation_alike() -> None:
    """The evaluation is of what the run made; the files themselves stay as they are."""
    run, evaluation = documents(VARIANTS["no-clip-high"], 2, 40)
    assert run["spec"]["model"]["uri"] == "s3://deepcoder/quickstart/base-2/model"
    assert run["spec"]["algorithm"]["sampling"]["seed"] == 2
    assert evaluation["spec"]["benchmarks"][0]["uri"] == "s3://deepcoder/quickstart/base-2/held-out.jsonl"
    assert evaluation["spec"]["model"]["trainingRun"]["name"] == run["metadata"]["name"]
    assert VARIANTS["no-clip-high"].document["spec"]["model"]["uri"].endswith("base-0/model")
    for document in (run, evaluation):
        parse_resource(document)


@pytest.mark.parametrize(("steps", "stages"), [(40, [8, 32]), (20, [4, 16]), (4, [1, 3]), (2, [1, 1])])
def test_a_trial_has_fewer_steps_of_each_stage(steps: int, stages: list[int]) -> None:
    """In the same proportion, as far as it goes."""
    run, _ = documents(VARIANTS[GRPO_PLUS], 0, steps)
    assert [stage["steps"] for stage in run["spec"]["stages"]] == stages


def test_a_trial_that_is_too_short_is_refused() -> None:
    """Each stage needs a step."""
    with pytest.raises(ValueError, match="1 steps: the run has 2 stages"):
        documents(VARIANTS[GRPO_PLUS], 0, 1)


def test_what_is_done_is_not_run_again(tmp_path: Path) -> None:
    """A result is of exactly the documents that were run; a damaged one is none."""
    results, made = Results(tmp_path / "results"), result("entropy-term", 1)
    assert results.kept("entropy-term", 1, "{}") is None
    results.keep(made)
    assert results.kept("entropy-term", 1, "{}") == made
    assert results.kept("entropy-term", 1, '{"steps": 4}') is None
    assert results.kept("entropy-term", 0, "{}") is None
    (tmp_path / "results" / "entropy-term-1.json").write_text("{")
    assert results.kept("entropy-term", 1, "{}") is None


def test_file_has_the_scores_by_variant() -> None:
    """Their mean, each seed's, and every run."""
    written = as_json([result("a", 0, 0.5), result("a", 1, 0.75), result("b", 0, 0.25)], [], {"steps": 3})
    assert written["pass_at_1"] == {"a": {"mean": 0.625, "seeds": [0.5, 0.75]}, "b": {"mean": 0.25, "seeds": [0.25]}}
    assert [(run["variant"], run["seed"]) for run in written["runs"]] == [("a", 0), ("a", 1), ("b", 0)]


def test_curves_are_means_over_steps_and_seeds() -> None:
    """What was not measured counts nowhere."""
    assert smoothed([1.0, None, 3.0], window=2) == [1.0, 1.0, 3.0]
    assert smoothed([None, 2.0], window=2) == [None, 2.0]
    assert mean_by_step([[1.0, 2.0], [3.0, None, 5.0]]) == [2.0, 2.0, 5.0]


def test_plot_names_every_variant_and_is_the_same_each_time(tmp_path: Path) -> None:
    """So that docs/ changes only with the results."""
    results = [result(name, seed, 0.3 + seed / 10) for name in (GRPO_PLUS, "no-clip-high") for seed in range(3)]
    files = [tmp_path / "first.svg", tmp_path / "second.svg"]
    for file in files:
        draw(results, file)
    first, second = (file.read_text() for file in files)
    assert first == second
    for said in (GRPO_PLUS, "no-clip-high", "reward", "entropy, nats a token", "held-out pass@1 of 128"):
        assert said in first
