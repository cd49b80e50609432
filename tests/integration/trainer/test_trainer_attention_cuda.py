"""Packed attention by torch's variable-length flash attention. Skipped without a GPU; `make gpu-check` has more."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu_check.attention import check_attention
from benchmarks.gpu_check.lengths import unequal
from benchmarks.trainer.random_model import Shape
from deepcoder_trainer.attention import packed_arguments, packed_attention

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
LENGTHS = [700, 1, 64, 259]


@pytest.mark.parametrize(("heads", "key_heads", "width"), [(40, 8, 128), (8, 8, 64), (8, 1, 64), (2, 2, 32)])
def test_bf16_is_as_near_to_fp32_as_torchs_own(heads: int, key_heads: int, width: int) -> None:
    """Outcome and gradients of unequal sequences; no sequence depends on another by a bit."""
    shape = Shape(layers=1, hidden=heads * width, intermediate=1, heads=heads, key_heads=key_heads, words=1)
    found = check_attention(shape, unequal(4096), torch.device("cuda"))
    assert found["passed"], found


@pytest.mark.parametrize("window", [None, 1, 3, 100, 5000])
@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_windows_and_scaling_are_those_of_the_path_in_fp32(
    window: int | None, scaling: float | None, dtype: torch.dtype
) -> None:
    """fp32 takes sequence after sequence, which is tested against the formula; both get the same rounded numbers."""
    torch.manual_seed(0)
    bounds = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()], dtype=torch.int32, device="cuda")
    states = [torch.randn(1, heads, sum(LENGTHS), 64, device="cuda", dtype=dtype) for heads in (4, 2, 2)]
    more = {"scaling": scaling, "sliding_window": window, **packed_arguments(bounds)}
    found, _ = packed_attention(torch.nn.Module(), *states, None, **more)
    expected, _ = packed_attention(torch.nn.Module(), *(one.float() for one in states), None, **more)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
