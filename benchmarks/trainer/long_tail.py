"""A base model whose answers are long-tailed, as those of reasoning models are.

`python -m benchmarks.trainer.long_tail --base FOLDER --to FOLDER` teaches the quickstart's model to go on after its
program with a run of one mark. Which mark is drawn first; each mark ends at a rate of its own, so lengths are a mixture
of geometric ones: most are short, a few many times as long, and each is the model's own draw through the real sampler.
The marks come after the program, on a line of their own, so that the program is found and is as good as it was.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.trainer.runs import QUICKSTART

STEPS = 120
SAMPLES_PER_STEP = 16
LEARNING_RATE = 5e-4
LONGEST = 448
"""Marks at most in what is taught, so that a step's longest answer does not make all others as expensive."""


@dataclass(frozen=True)
class Run:
    """A mark that the tokenizer has as one token and that no program has, its mean run, and how often it is drawn."""

    mark: str
    mean: float
    share: float


RUNS = (Run("~", 4, 0.4), Run("^", 20, 0.3), Run("&", 80, 0.2), Run("|", 250, 0.1))


def tail(random_numbers: random.Random) -> str:
    """A run of one mark, of geometric length."""
    (drawn,) = random_numbers.choices(RUNS, [one.share for one in RUNS])
    length = 1
    while length < LONGEST and random_numbers.random() > 1 / drawn.mean:
        length += 1
    return drawn.mark * length


def teach(base: Path, to: Path, seed: int, steps: int) -> None:
    """Train the model of `base` on such answers and write it, with the same problems, to `to`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sys.path.insert(0, str(QUICKSTART))
    corpus: Any = importlib.import_module("corpus")
    warm_start: Any = importlib.import_module("warm_start")
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base / "model")
    model: Any = AutoModelForCausalLM.from_pretrained(base / "model", dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01)
    examples, started = long_demonstrations(corpus.demonstrations(seed), random.Random(seed)), time.monotonic()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, step / 20) * max(0.05, 1 - step / steps)
        loss = warm_start.answer_loss(model, tokenizer, list(itertools.islice(examples, SAMPLES_PER_STEP)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == steps:
            print(
                f"long answers: step {step} of {steps}, loss {loss.item():.3f}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
    to.mkdir(parents=True)
    warm_start.save(model.eval(), tokenizer, to / "model")
    for name in ("training.jsonl", "held-out.jsonl"):
        shutil.copyfile(base / name, to / name)


def long_demonstrations(
    demonstrations: Iterator[tuple[str, str]], random_numbers: random.Random
) -> Iterator[tuple[str, str]]:
    """The same statements and programs, each program before a tail."""
    for statement, answer in demonstrations:
        yield statement, f"{answer}\n{tail(random_numbers)}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.trainer.long_tail", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the quickstart's base model and problems")
    parser.add_argument("--to", type=Path, required=True, help="folder to write to, which must not be there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    teach(options.base, options.to, options.seed, options.steps)


if __name__ == "__main__":
    main()
