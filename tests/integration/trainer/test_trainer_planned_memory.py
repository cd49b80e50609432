"""The planner's bytes against those that the engine really keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import Qwen2Config, Qwen2ForCausalLM

from deepcoder_api.planning.model_shape import model_shape
from deepcoder_api.planning.trainer_memory import (
    FP32,
    REDUCE_BUCKET,
    parameter_bytes,
    state_memory,
    trainer_memory,
)
from deepcoder_api.training_run import Offload
from deepcoder_trainer import attention
from deepcoder_trainer.answer_scores import AnswerScores
from tests.tiny_models import write_tiny_model
from tests.warm_ranks import start_ranks

RANKS = 2
CASES: list[tuple[Literal["bf16", "fp32"], int, Offload]] = [
    ("bf16", 1, "none"), ("bf16", 2, "none"), ("bf16", 3, "none"), ("fp32", 0, "none"), ("fp32", 2, "none"),
    ("bf16", 2, "optimizer"), ("fp32", 2, "optimizer"), ("bf16", 3, "parameters"),
]  # fmt: skip
TOKENS = 512


def test_state_is_what_deepspeed_keeps(tmp_path: Path) -> None:
    """On two ranks, for each ZeRO stage and what may be offloaded in it, to 2 %, and how much of it the node has.

    Stage 3 keeps parameters under 100,000 elements whole besides. Without a GPU all lies in one memory: what the node
    has is what DeepSpeed makes on the CPU whatever else there is.
    """
    model = write_tiny_model(tmp_path / "model", layers=2, hidden=512)
    arguments = [str(model), json.dumps(CASES), str(tmp_path / "found")]
    start_ranks(RANKS, "tests.integration.trainer.planned_memory", arguments, tmp_path / "log").finish(280)
    found = json.loads((tmp_path / "found").read_text())
    for (precision, stage, offload), measured in zip(CASES, found, strict=True):
        planned = state_memory(1_000_000, parameter_bytes(precision, stage, offload), stage, RANKS)
        of_node = measured["offloaded"] * 1_000_000
        assert of_node == pytest.approx(planned.offloaded, rel=0.02), (precision, stage, offload)
        on_gpu = measured["each"] * 1_000_000 - of_node
        assert on_gpu == pytest.approx(planned.total, rel=0.02, abs=20_000), (precision, stage, offload)
        if stage == 3:
            assert measured["bucket"] == REDUCE_BUCKET * FP32


@pytest.mark.parametrize("recomputes", [True, False])
def test_activations_are_near_the_peak_of_a_real_backward(recomputes: bool) -> None:
    """torch's own account of a forward and backward in bf16, beyond weights and gradients: within 15 %."""
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
    )
    model = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16, attn_implementation=attention.register())
    if recomputes:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    scores = AnswerScores(model.train())

    def backward() -> None:
        ids = torch.zeros(1, TOKENS, dtype=torch.int64)
        bounds = torch.tensor([0, TOKENS], dtype=torch.int32)
        packed = attention.packed_arguments(bounds)
        inputs = {"input_ids": ids, "position_ids": torch.arange(TOKENS)[None], "use_cache": False}
        scores(torch.arange(TOKENS - 1), ids[0, 1:], 1.0, False, **inputs, **packed)[0].sum().backward()

    backward()  # gradients are there, and in their places, before the peak is looked for
    tracker = MemTracker()
    tracker.track_external(model)
    with tracker:
        backward()
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    sizes = {getattr(kind, "name", str(kind)): size for kind, size in peak.items()}
    measured = sum(size for kind, size in sizes.items() if kind in ("ACT", "TEMP"))
    planned = trainer_memory(
        model_shape(config.to_dict()), precision="bf16", zero_stage=1, ranks=1, tokens=TOKENS, recomputes=recomputes
    )
    assert measured == pytest.approx(planned.activations, rel=0.15)
