"""What a checkpoint's model has beside its weights, and that transformers takes it as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import GenerationConfig

from deepcoder_api.lifecycle import StageAdvance
from deepcoder_trainer.orchestrator.cursor import CursorPosition
from deepcoder_trainer.orchestrator.model_card import complete_model, model_card
from deepcoder_trainer.orchestrator.resume import RunState
from tests.resolved_runs import resolved_run

HELD_OUT = {"name": "held-out", "format": "jsonl", "uri": "file:///held-out.jsonl"}
CONFIG = {"eos_token_id": 2, "bos_token_id": None, "pad_token_id": 0}


def state(**changes: Any) -> RunState:
    """After four steps, in the second stage."""
    values: dict[str, Any] = {
        "step": 4, "stage": "long", "policy_version": 4, "cursor": CursorPosition(), "dataset": "s3://b/d",
        "prompts": 16, "answer_tokens": 320, "attempt": 1,
    }  # fmt: skip
    return RunState(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def test_a_model_without_a_way_to_sample_is_sampled_as_it_was_trained(folder: Path) -> None:
    """At the temperature of the stage it comes from, to the end tokens of its config.json."""
    stages = [
        {"name": "short", "maxResponseTokens": 12, "steps": 3},
        {"name": "long", "maxResponseTokens": 24, "steps": 2, "sampling": {"temperature": 0.7}},
    ]
    complete_model(folder, resolved_run(stages=stages), state(), None)
    config = GenerationConfig.from_pretrained(folder)
    assert (config.do_sample, config.temperature, config.eos_token_id, config.pad_token_id) == (True, 0.7, 2, 0)
    config.validate(strict=True)


def test_a_base_that_names_its_tokens_and_no_more_keeps_them(folder: Path) -> None:
    """As transformers writes it beside a model that nobody has said anything of."""
    own = {"_from_model_config": True, "eos_token_id": [2, 3], "transformers_version": "5.17.0"}
    (folder / "generation_config.json").write_text(json.dumps(own))
    complete_model(folder, resolved_run(), state(), None)
    config = GenerationConfig.from_pretrained(folder)
    assert (config.do_sample, config.temperature, config.eos_token_id, config.pad_token_id) == (True, 1.0, [2, 3], 0)


def test_what_its_base_says_of_sampling_stays(folder: Path) -> None:
    """The authors of the base know best how it is asked."""
    own = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "eos_token_id": [2, 3]}
    (folder / "generation_config.json").write_text(json.dumps(own))
    complete_model(folder, resolved_run(), state(), None)
    assert json.loads((folder / "generation_config.json").read_text()) == own


def test_the_card_tells_use_recipe_and_limits(folder: Path) -> None:
    """A front matter that the hub reads, and what was done up to this step and no further."""
    run = resolved_run(
        model={"uri": "hf://org/base", "revision": "main"}, validation={"everySteps": 2, "sources": [HELD_OUT]}
    )
    advance = StageAdvance(stage="short", step=2, reason="reward 0.9 over the last 2 steps, above 0.8")
    complete_model(folder, run, state(advances=(advance,)), 0.4567)
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["code", "reinforcement-learning"],
        "base_model": "org/base",
    }  # fmt: skip
    assert text.startswith("# tiny, step 4\n")
    for said in (
        "- Base model: hf://org/base (main)\n",
        "at temperature 1; leave 24 tokens for the answer",
        "- Algorithm: grpo-plus, 2 optimizer steps a step, AdamW at 0.0001 (constant)\n",
        "- Stage short: at most 12 answer tokens, 4 prompts x 2 answers a step, temperature 1 "
        "(ended after step 2: reward 0.9 over the last 2 steps, above 0.8)\n",
        "- Stage long: at most 24 answer tokens",
        "16 prompts and 320 answer tokens were trained on",
        "Its pass@1 on the run's validation problems (held-out) was 0.457.",
    ):
        assert said in text


def test_the_card_says_nothing_of_what_has_not_been() -> None:
    """A stage that has not begun, a score that was not measured, a base that is not on the hub."""
    text = model_card(resolved_run(), state(step=2, stage="short"), None)
    assert "Stage long" not in text
    assert "It was not measured while it was trained." in text
    assert "base_model" not in text


def test_the_card_names_the_checkpoint_that_the_run_began_with() -> None:
    """A fork is not trained from its base alone."""
    uri = "s3://bucket/runs/a/b/c/checkpoints/step-000004"
    text = model_card(resolved_run(resumeFrom={"uri": uri}), state(), None)
    assert f"- Base model: file:///model, from the checkpoint {uri}\n" in text
