"""`python -m benchmarks.gpu_check`, or `make gpu-check`: the trainer on this machine's GPU.

A model of the 14B's shape with fewer layers and random weights, in bf16: attention packed against each sequence alone,
log-probabilities packed against padded, then updates of one long sequence and of several: seconds, memory, utilisation.
The JSON report says what it was measured on and what was not run. Exit codes: 0 all passed, 1 a check did not, 3 there
is no GPU. `--device cpu --layers 1 --tokens 256` tries the program itself, on a tiny shape.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.trainer.random_model import Shape

ROOT = Path(__file__).resolve().parents[2]
PASSED, FAILED, NO_GPU = 0, 1, 3
# DeepSeek-R1-Distill-Qwen-14B's config.json, which has 48 layers.
FOURTEEN_B = Shape(layers=48, hidden=5120, intermediate=13_824, heads=40, key_heads=8, words=152_064)
TINY = Shape(layers=48, hidden=64, intermediate=128, heads=4, key_heads=2, words=512)
NOT_RUN = {
    "sampling and the take-over of weights": "needs vLLM",
    "sampler against trainer log-probabilities": "needs vLLM",
    "ZeRO over ranks, NCCL collectives": "needs two GPUs",
    "sequenceParallel": "needs two GPUs",
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--layers", type=int, default=4, help="of the 14B's 48")
    parser.add_argument("--tokens", type=int, nargs="+", default=[16_384, 32_768], help="of a microbatch")
    parser.add_argument("--repeats", type=int, default=3, help="updates that are timed")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench" / "gpu-check.json")
    options = parser.parse_args()
    if min(options.tokens) < 64 or not 1 <= options.layers <= FOURTEEN_B.layers or options.repeats < 1:
        parser.error("--tokens must be 64 or more, --layers 1 to 48, --repeats 1 or more")
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks
    sys.exit(run(options))


def run(options: argparse.Namespace) -> int:
    """Measure, write the report, say in one line how it went; returns the exit code."""
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            f"gpu-check: there is no CUDA GPU here (torch {torch.__version__} sees none), so nothing was checked; "
            "run it on a machine with one.",
            file=sys.stderr,
        )
        return NO_GPU
    started = time.monotonic()
    report: dict[str, Any] = {"machine": {**describe_machine(), **_describe_device(options.device)}}
    report |= {"checks": _checks(options), "not_run": NOT_RUN}
    failed = [name for name, found in report["checks"].items() if not found["passed"]]
    report |= {"passed": not failed, "seconds": round(time.monotonic() - started, 1)}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["checks"], indent=1))
    print(f"gpu-check: {f'not passed: {failed}' if failed else 'passed'}; {options.output}", file=sys.stderr)
    return FAILED if failed else PASSED


def _checks(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    import torch

    from benchmarks.gpu_check.attention import check_attention
    from benchmarks.gpu_check.lengths import unequal
    from benchmarks.gpu_check.padded import check_packed_against_padded
    from benchmarks.gpu_check.speed import time_updates
    from benchmarks.trainer.alone import engine_alone, join_alone
    from benchmarks.trainer.random_model import write_random_model

    shape = _shape(options)
    device = torch.device(options.device)
    checks = {f"attention-{tokens}": check_attention(shape, unequal(tokens), device) for tokens in options.tokens}
    join_alone()
    with tempfile.TemporaryDirectory() as folder:
        write_random_model(Path(folder), shape, dtype=torch.bfloat16, device=options.device)
        engine = engine_alone(Path(folder), precision="bf16", zero_stage=2)
        few = max(64, min(options.tokens) // 8)  # padding is wide
        checks["packed-against-padded"] = check_packed_against_padded(engine, Path(folder), shape, unequal(few))
        for tokens in options.tokens:
            for kind, lengths in (("one", [tokens]), ("packed", unequal(tokens))):
                checks[f"update-{kind}-{tokens}"] = time_updates(engine, shape, lengths, options.repeats)
        engine.deepspeed.destroy()
        del engine
        gc.collect()
    return checks


def _shape(options: argparse.Namespace) -> Shape:
    return replace(FOURTEEN_B if options.device == "cuda" else TINY, layers=options.layers)


def _describe_device(device: str) -> dict[str, Any]:
    import torch

    if device == "cpu":
        return {"device": "cpu", "torch": torch.__version__}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "device_memory_gib": round(properties.total_memory / 1024**3, 1),
        "device_capability": f"{properties.major}.{properties.minor}",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


if __name__ == "__main__":
    main()
