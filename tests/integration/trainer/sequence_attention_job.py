"""Attention of tokens that ranks share, beside that of all tokens on one; under torchrun with 4 ranks.

`torchrun -m tests.integration.trainer.sequence_attention_job FILE` writes, as JSON by rank 0, the largest differences
of outcome and gradients of each case.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from deepcoder_trainer.attention import packed_arguments, packed_attention
from deepcoder_trainer.sequence_group import SequenceGroup

BOUNDARIES = [0, 5, 6, 19, 24]
WIDTH = 8
CASES = [
    # ranks that share, heads, key heads, sliding window
    (2, 4, 4, None),
    (2, 4, 2, 3),
    (2, 4, 1, None),
    (4, 8, 2, None),
    (4, 12, 6, 4),
    (4, 4, 1, None),
]


def attended(states: list[Tensor], window: int | None, group: dist.ProcessGroup | None) -> Tensor:
    arguments = packed_arguments(torch.tensor(BOUNDARIES, dtype=torch.int32), group)
    query, key, value = states
    return packed_attention(torch.nn.Module(), query, key, value, None, sliding_window=window, **arguments)[0]


def differences(case: tuple[int, int, int, int | None]) -> dict[str, float]:
    """The largest difference of any rank: of what it computes, and of the gradients of its own run of tokens."""
    size, heads, key_heads, window = case
    sequence = SequenceGroup.join(size, timedelta(seconds=60))
    torch.manual_seed(dist.get_rank() // size)  # each group has sequences of its own
    whole = [torch.randn(1, count, BOUNDARIES[-1], WIDTH) for count in (heads, key_heads, key_heads)]
    towards = torch.randn(1, BOUNDARIES[-1], heads, WIDTH)
    length = BOUNDARIES[-1] // size
    run = slice(sequence.rank * length, (sequence.rank + 1) * length)
    own = [one[:, :, run].clone().requires_grad_() for one in whole]
    for one in whole:
        one.requires_grad_()
    found, expected = attended(own, window, sequence.group), attended(whole, window, None)
    (found * towards[:, run]).sum().backward()
    (expected * towards).sum().backward()
    gaps = [(found - expected[:, run]).abs().max()]
    for mine, reference in zip(own, whole, strict=True):
        assert mine.grad is not None
        assert reference.grad is not None
        gaps.append((mine.grad - reference.grad[:, :, run]).abs().max())
    worst = torch.stack(gaps)
    dist.all_reduce(worst, dist.ReduceOp.MAX)
    return dict(zip(("outcome", "query", "key", "value"), worst.tolist(), strict=True))


def main() -> None:
    """All cases."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    found = [differences(case) for case in CASES]
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
