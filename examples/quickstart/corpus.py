"""What the base model is taught: demonstrations that make a share of the concepts' mistakes on purpose."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tasks import CONCEPTS, Task, draw_task, split
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 512
END = "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HARD_CONCEPTS = 4  # of the 12 filters, maps and summaries each
RIGHT_WHEN_HARD = 0.4  # below one half: greedy answers are wrong, sampled ones are right often enough to learn from
RIGHT_WHEN_EASY = 0.92


def hard_concepts(seed: int) -> tuple[frozenset[int], ...]:
    """The filters, maps and summaries that most demonstrations get wrong."""
    random_numbers = random.Random(seed * 7 + 1)
    return tuple(frozenset(random_numbers.sample(range(len(kind)), HARD_CONCEPTS)) for kind in CONCEPTS)


def demonstrations(seed: int) -> Iterator[tuple[str, str]]:
    """Endless (statement, answer) of training triples, right or wrong by `hard_concepts`."""
    for task, right in lessons(seed):
        yield task.statement, answer(task, right)


def lessons(seed: int) -> Iterator[tuple[Task, tuple[bool, bool, bool]]]:
    """Endless tasks of training triples, and which of their concepts the demonstration gets right."""
    random_numbers, hard, triples = random.Random(seed + 100), hard_concepts(seed), split()[0]
    while True:
        task = draw_task(random_numbers.choice(triples), random_numbers)
        yield task, _rightness(task, hard, random_numbers)


def answer(task: Task, right: tuple[bool, bool, bool] = (True, True, True)) -> str:
    """The program as an answer: fenced, as graders look for it."""
    return f"```python\n{task.program(right)}```"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of the statements and programs, single digits, with a chat template. The same for every seed."""
    examples = demonstrations(seed=5)
    texts = [text for _ in range(600) for text in next(examples)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token="<|endoftext|>")
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _rightness(task: Task, hard: tuple[frozenset[int], ...], random_numbers: random.Random) -> tuple[bool, bool, bool]:
    first, second, third = (
        random_numbers.random() < (RIGHT_WHEN_HARD if index in of_kind else RIGHT_WHEN_EASY)
        for index, of_kind in zip(task.triple, hard, strict=True)
    )
    return first, second, third
