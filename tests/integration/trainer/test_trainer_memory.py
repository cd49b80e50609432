"""Memory of the trainer, measured as the peak of a process of its own."""

from __future__ import annotations

import subprocess
import sys

MEASURE = """
import sys, torch
from benchmarks.machine import process_mib
from types import SimpleNamespace
from torch import nn
from deepcoder_trainer.answer_scores import AnswerScores
torch.manual_seed(0)
TOKENS, WIDTH, WORDS = 2048, 16, 50_000
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.config, self.head = SimpleNamespace(), nn.Linear(WIDTH, WORDS, bias=False)
        self.states = nn.Parameter(torch.randn(1, TOKENS, WIDTH))
    def base_model(self):
        return SimpleNamespace(last_hidden_state=self.states)
    def get_output_embeddings(self):
        return self.head
scores = AnswerScores(Model(), int(sys.argv[1]))
before = process_mib("VmHWM")
found, _ = scores(torch.arange(TOKENS), torch.arange(TOKENS), 1.0, False)
found.sum().backward()
print(process_mib("VmHWM") - before)
"""


def test_memory_does_not_grow_with_the_tokens_times_the_vocabulary() -> None:
    """2,048 tokens over 50,000 words are 391 MiB of fp32 logits; by chunks of 256 forward and backward take a part."""

    def mebibytes(chunk: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(chunk)], capture_output=True, text=True, check=True, timeout=120
        )
        return float(done.stdout)

    assert mebibytes(256) < 400 < 750 < mebibytes(2048)
