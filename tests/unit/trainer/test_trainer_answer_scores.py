"""The head applied to a chunk of tokens at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from deepcoder_trainer import attention
from deepcoder_trainer.answer_scores import AnswerScores
from deepcoder_trainer.log_probabilities import token_log_probabilities
from tests.tiny_models import write_tiny_model

PREDICTORS = torch.tensor([3, 4, 5, 6, 9, 10, 11])
IDS = torch.arange(1, 14)[None]
ANSWERS = IDS[0, PREDICTORS + 1]


def tiny(folder: Path, *, tied: bool) -> PreTrainedModel:
    path = write_tiny_model(folder / "model", tied=tied)
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation=attention.register())


def inputs() -> dict[str, object]:
    bounds = torch.tensor([0, 8, 13], dtype=torch.int32)
    positions = torch.cat([torch.arange(8), torch.arange(5)])[None]
    return {
        "input_ids": IDS, "position_ids": positions, "use_cache": False, **attention.packed_arguments(bounds),
    }  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 3, 1024])
@pytest.mark.parametrize("tied", [False, True])
def test_values_and_gradients_are_those_of_whole_logits(tmp_path: Path, tied: bool, chunk: int) -> None:
    """Whatever the chunk, with a head of its own or that of the embedding; the entropy's gradient too."""
    model = tiny(tmp_path, tied=tied)
    found, entropy = AnswerScores(model, chunk)(PREDICTORS, ANSWERS, 0.6, True, **inputs())
    (found.sum() + 0.1 * entropy.sum()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    logits = model(logits_to_keep=PREDICTORS, **inputs()).logits[0]
    expected, its_entropy = token_log_probabilities(logits, ANSWERS, 0.6, entropy_gradient=True)
    (expected.sum() + 0.1 * its_entropy.sum()).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(entropy, its_entropy)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_an_architecture_that_alters_its_logits_does_so_itself(tmp_path: Path) -> None:
    """A soft cap, a scale: the head alone would give other values than the model samples by."""
    model = tiny(tmp_path, tied=False)
    assert AnswerScores(model).by_chunks
    model.config.final_logit_softcapping = 30.0
    assert not AnswerScores(model).by_chunks
    found, _ = AnswerScores(model)(PREDICTORS, ANSWERS, 1.0, False, **inputs())
    assert found.shape == ANSWERS.shape


def test_a_temperature_of_zero_is_refused(tmp_path: Path) -> None:
    """Greedy answers have no log-probability."""
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        AnswerScores(tiny(tmp_path, tied=False))(PREDICTORS, ANSWERS, 0.0, False, **inputs())
