"""Log-probabilities and entropies of tokens from logits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from deepcoder_trainer.log_probabilities import token_log_probabilities

LOGITS = tensor([[0.0, math.log(3.0)], [0.0, 0.0]])


def test_by_hand_at_temperature_one() -> None:
    """Logits 0 and log 3 are probabilities 1/4 and 3/4; equal logits are a half each."""
    found, entropy = token_log_probabilities(LOGITS, tensor([1, 0]), temperature=1.0)
    assert found.tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 2)], rel=1e-6)
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy.tolist() == pytest.approx([expected, math.log(2)], rel=1e-6)


def test_by_hand_at_temperature_one_half() -> None:
    """Halving the temperature squares the odds: 3 to 1 becomes 9 to 1. The temperature divides the logits."""
    found, _ = token_log_probabilities(LOGITS[:1], tensor([0]), temperature=0.5)
    assert found.item() == pytest.approx(math.log(1 / 10), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_equals_torch_log_softmax_in_fp32_whatever_the_chunk(dtype: torch.dtype, chunk: int) -> None:
    """Values and gradients are those of torch's log_softmax over float32 logits, also for logits given as bf16."""
    torch.manual_seed(0)
    logits = (4 * torch.randn(7, 50)).to(dtype).requires_grad_()
    tokens, weights = torch.randint(0, 50, (7,)), torch.randn(7)
    found, entropy = token_log_probabilities(logits, tokens, 0.6, chunk_tokens=chunk)
    (found * weights).sum().backward()
    assert found.dtype == entropy.dtype == torch.float32
    assert logits.grad is not None
    plain = logits.detach().clone().requires_grad_()
    expected = torch.log_softmax(plain.float() / 0.6, -1)
    (expected.gather(1, tokens[:, None])[:, 0] * weights).sum().backward()
    assert torch.equal(found, expected.gather(1, tokens[:, None])[:, 0])
    assert torch.allclose(logits.grad, plain.grad)  # type: ignore[arg-type]
    assert torch.allclose(entropy, torch.distributions.Categorical(logits=plain.float() / 0.6).entropy(), atol=1e-5)


def test_entropies_carry_no_gradient() -> None:
    """They are watched, not optimized, where there is no entropy term."""
    found, entropy = token_log_probabilities(LOGITS.clone().requires_grad_(), tensor([0, 0]), 1.0)
    assert found.requires_grad
    assert not entropy.requires_grad


def test_with_a_gradient_of_the_entropy_by_hand() -> None:
    """Probabilities 1/4 and 3/4: dH/dlogit is -p (log p + H) over the temperature."""
    logits, temperature = LOGITS[:1].clone().requires_grad_(), 0.5
    _, entropy = token_log_probabilities(logits, tensor([0]), temperature, entropy_gradient=True)
    entropy.sum().backward()
    p = [0.1, 0.9]
    whole = -sum(one * math.log(one) for one in p)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx(
        [-one * (math.log(one) + whole) / temperature for one in p], rel=1e-5
    )


@pytest.mark.parametrize("chunk", [1, 3, 1024])
def test_the_gradient_of_the_entropy_is_torchs_whatever_the_chunk(chunk: int) -> None:
    """Of torch.distributions over the whole logits at once; log-probabilities keep theirs beside it."""
    torch.manual_seed(1)
    logits, tokens, weights = torch.randn(7, 50).requires_grad_(), torch.randint(0, 50, (7,)), torch.randn(2, 7)
    found, entropy = token_log_probabilities(logits, tokens, 0.6, entropy_gradient=True, chunk_tokens=chunk)
    (found * weights[0] + entropy * weights[1]).sum().backward()
    plain = logits.detach().clone().requires_grad_()
    policy = torch.distributions.Categorical(logits=plain / 0.6)
    (policy.log_prob(tokens) * weights[0] + policy.entropy() * weights[1]).sum().backward()
    assert torch.allclose(logits.grad, plain.grad, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    """A greedy answer has no log-probability to learn from."""
    with pytest.raises(ValueError, match=f"not {temperature}"):
        token_log_probabilities(LOGITS, tensor([0, 0]), temperature)
