"""Our attention function for packed sequences, registered with transformers: no token sees another sequence.

`transformers` hands what a model's forward is given beyond its own arguments to the attention function, so a packed
forward passes the boundaries as `cu_seq_lens_q` and its like (`packed_arguments`), and no mask at all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PretrainedConfig

from deepcoder_trainer.model_files import ModelFilesError
from deepcoder_trainer.sequence_attention import all_tokens_of_own_heads, heads_fit, own_tokens_of_all_heads

NAME = "deepcoder_packed"
KNOWN_LAYERS = {"full_attention", "sliding_attention"}


def register() -> str:
    """Make `attn_implementation=NAME` known to transformers; returns NAME. Again is harmless."""
    AttentionInterface.register(NAME, packed_attention)
    return NAME


def check_architecture(config: PretrainedConfig, sequence_parallel: int) -> None:
    """Raise ModelFilesError for a model that this attention does not make right, or that ranks cannot share so."""
    text = config.get_text_config()
    others = sorted(set(getattr(text, "layer_types", None) or ()) - KNOWN_LAYERS)
    if others:
        raise ModelFilesError(
            f"the model has layers of {', '.join(others)}, in which packed sequences would see each other; layers may "
            f"be {' or '.join(sorted(KNOWN_LAYERS))}"
        )
    heads = text.num_attention_heads
    if not heads_fit(heads, sequence_parallel):
        allowed = ", ".join(str(ranks) for ranks in range(1, heads + 1) if heads_fit(heads, ranks))
        raise ModelFilesError(
            f"spec.trainer.sequenceParallel: {sequence_parallel} does not divide the model's {heads} attention heads; "
            f"it may be {allowed}"
        )


def packed_arguments(boundaries: Tensor, sequence_group: ProcessGroup | None = None) -> dict[str, Any]:
    """What a model's forward takes beside input_ids and position_ids. boundaries: int32 [sequences + 1], from 0.

    sequence_group: the ranks that share the tokens, each an equal run of them; boundaries are of all.
    """
    longest = int(boundaries.diff().max())
    return {
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
        "sequence_group": sequence_group,
    }


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    sequence_group: ProcessGroup | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each packed sequence.

    query: [1, heads, tokens, width]; key and value: [1, key heads, tokens, width], key heads dividing heads;
    cu_seq_lens_q: int32 [sequences + 1]. Returns ([1, tokens, heads, width], None), as transformers wants it.
    With a sequence_group the tokens are this rank's run of those that cu_seq_lens_q is of; collective then.
    bf16 and fp16 on CUDA take torch's variable-length flash attention; the rest a causal SDPA per sequence, which is
    what varlen_attn lacks on CPU and in fp32. Raises ValueError for what neither does.
    """
    if cu_seq_lens_q is None or max_length_q is None or query.shape[0] != 1:
        raise ValueError(f"packed attention needs one row and cu_seq_lens_q, not a batch of {query.shape[0]} rows")
    unknown = [name for name in ("softcap", "s_aux", "position_bias") if others.get(name) is not None]
    if attention_mask is not None or dropout or unknown:
        raise ValueError(f"packed attention has no mask, dropout ({dropout}) or {unknown or 'extras'}")
    if sequence_group is not None:
        query, key, value = all_tokens_of_own_heads(query, key, value, sequence_group)
    attend = _flash if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) else _by_sequence
    attended = attend(query, key, value, scaling, sliding_window, cu_seq_lens_q, max_length_q)
    if sequence_group is not None:
        attended = own_tokens_of_all_heads(attended, sequence_group)
    return attended, None


def _by_sequence(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None, bounds: Tensor, longest: int
) -> Tensor:
    parts = [
        _one_sequence(query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], scaling, window)
        for start, end in pairwise(bounds.tolist())
    ]
    return torch.cat(parts, dim=2).transpose(1, 2)


def _flash(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None, bounds: Tensor, longest: int
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    queries, keys, values = (states[0].transpose(0, 1).contiguous() for states in (query, key, value))
    attended = varlen_attn(
        queries,
        keys,
        values,
        bounds,
        bounds,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(attended, Tensor)
    return attended[None]


def _one_sequence(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None) -> Tensor:
    length, grouped = query.shape[2], query.shape[1] != key.shape[1]
    if window is None or window >= length:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped)
    positions = torch.arange(length, device=query.device)
    behind = positions[:, None] - positions[None, :]
    seen = (behind >= 0) & (behind < window)
    return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling, enable_gqa=grouped)
