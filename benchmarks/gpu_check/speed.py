"""Seconds, memory and utilisation of updates."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.gpu_check.flops import model_flops, peak_flops
from benchmarks.machine import MIB, process_mib
from benchmarks.trainer.alone import update
from benchmarks.trainer.random_model import Shape, random_microbatch
from deepcoder_trainer.engine import PolicyEngine

GIB = 1024**3


def time_updates(engine: PolicyEngine, shape: Shape, lengths: Sequence[int], repeats: int) -> dict[str, Any]:
    """Of one microbatch: median seconds, tokens a second, peak memory, and utilisation where the GPU is known.

    An update of its own comes first and is not counted. `passed` when every gradient was finite and not zero.
    """
    microbatch = random_microbatch(lengths, shape.words)
    norms = [update(engine, [microbatch])]
    _reset_peak(engine.device)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        norms.append(update(engine, [microbatch]))
        _wait_for(engine.device)
        seconds.append(time.perf_counter() - started)
    median, flops = statistics.median(seconds), model_flops(shape, lengths)
    peak = peak_flops(torch.cuda.get_device_name(engine.device)) if engine.device.type == "cuda" else None
    return {
        "lengths": list(lengths),
        "seconds": round(median, 4),
        "tokens_per_second": round(sum(lengths) / median, 1),
        "model_tflops_per_second": round(flops / median / 1e12, 3),
        "utilisation": None if peak is None else round(flops / median / peak, 4),
        "peak_gib": round(_peak_bytes(engine.device) / GIB, 3),
        "gradient_norms": norms,
        "passed": all(math.isfinite(norm) and norm > 0 for norm in norms),
    }


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: torch.device) -> int:
    """Of tensors on the GPU; on CPU of the whole process since it began, for want of better."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return round(process_mib("VmHWM") * MIB)
