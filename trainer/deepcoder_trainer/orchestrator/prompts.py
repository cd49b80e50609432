"""A problem's statement as the model reads it: through the model's own chat template, without a system prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer

from deepcoder_trainer.orchestrator.failures import RunChanged


@dataclass(frozen=True)
class Prompt:
    """What the model reads, as text and as token ids."""

    text: str
    ids: tuple[int, ...]


class PromptRenderer:
    """Renders statements for one model."""

    def __init__(self, model_dir: Path) -> None:
        """Raises RunChanged when the model has no chat template."""
        self._tokenizer = AutoTokenizer.from_pretrained(model_dir)
        if self._tokenizer.chat_template is None:
            raise RunChanged(f"the tokenizer in {model_dir} has no chat template; the model needs one to be asked")

    def __call__(self, statement: str) -> Prompt:
        """The user's turn, opened for the model's answer; special tokens are the template's alone."""
        turn = [{"role": "user", "content": statement}]
        text = self._tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return Prompt(text, tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"]))
