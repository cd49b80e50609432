"""The language model with its head applied to a chunk of tokens at a time: no logits of a whole microbatch exist.

A vocabulary is a hundred times wider than a hidden state's share of memory allows: 32,768 answer tokens over 152,000
words are 10 GB of bf16 logits, twice that in fp32, and as much again for their gradient.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from deepcoder_trainer.log_probabilities import CHUNK_TOKENS, token_log_probabilities

# What some architectures do to the head's output; their own forward must do it then.
ALTERED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier")


class AnswerScores(nn.Module):
    """Log-probabilities and entropies of answer tokens. DeepSpeed wraps this, so that ZeRO's hooks see every part."""

    def __init__(self, model: PreTrainedModel, chunk_tokens: int = CHUNK_TOKENS) -> None:
        super().__init__()
        self.model = model
        self._chunk_tokens = chunk_tokens
        head = model.get_output_embeddings()
        altered = any(getattr(model.config, name, None) for name in ALTERED_LOGITS)
        self.chunked_head = ChunkedHead(head, chunk_tokens) if isinstance(head, nn.Linear) and not altered else None

    @property
    def by_chunks(self) -> bool:
        """Whether the head is applied here, rather than by the model to all answer tokens at once."""
        return self.chunked_head is not None

    def forward(
        self, predictors: Tensor, answer_ids: Tensor, temperature: float, entropy_gradient: bool, **inputs: Any
    ) -> tuple[Tensor, Tensor]:
        """(log-probabilities, entropies), both fp32 [A], of `answer_ids`, int64 [A].

        predictors: int64 [A], the positions whose logits predict them. `inputs` are the model's own. Backward computes
        each chunk's logits again instead of keeping them. Raises ValueError for a temperature that is not above zero.
        """
        if self.chunked_head is None:
            logits = self.model(logits_to_keep=predictors, **inputs).logits[0]
            return token_log_probabilities(
                logits, answer_ids, temperature, entropy_gradient=entropy_gradient, chunk_tokens=self._chunk_tokens
            )
        rows = self.model.base_model(**inputs).last_hidden_state[0, predictors]
        return self.chunked_head(rows, answer_ids, temperature, entropy_gradient)


class ChunkedHead(nn.Module):
    """A head's weights, used without the module that has them: once for all chunks.

    Under ZeRO-3 a call of the head's own module is a collective, and ranks have different numbers of chunks. This
    module is called once a forward; `weights` are gathered for it when they are registered as its external parameters.
    """

    def __init__(self, head: nn.Linear, chunk_tokens: int) -> None:
        super().__init__()
        self._head = [head]  # in a list: not a child, so ZeRO leaves it to its owner
        self._chunk_tokens = chunk_tokens

    @property
    def weights(self) -> list[nn.Parameter]:
        """The head's parameters."""
        return list(self._head[0].parameters())

    def forward(
        self, rows: Tensor, answer_ids: Tensor, temperature: float, entropy_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        """What `token_log_probabilities` returns for hidden states `rows`, [A, width]."""
        head = self._head[0]
        return token_log_probabilities(
            rows,
            answer_ids,
            temperature,
            entropy_gradient=entropy_gradient,
            chunk_tokens=self._chunk_tokens,
            head=lambda chunk: linear(chunk, head.weight, head.bias),
        )
