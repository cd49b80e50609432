"""What an answer would have been under a shorter response limit: its first tokens, as the engine would write them.

With the engine's own token ids a cut is exact: ids are written as text the way vLLM writes them, one after the other,
with the end of the prompt before them. Of an answer that came as text alone the text is tokenised again, which is
approximate, because a model may write the same text by other tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from deepcoder_evaluation.answers import Answer

log = structlog.get_logger("cutting")


@dataclass(frozen=True)
class Cut:
    """An answer under a response limit. `exact` as in Outcome."""

    text: str
    finish_reason: str
    answer_tokens: int
    exact: bool


class Cutter:
    """Cuts answers by the tokenizer in a folder; None: no tokenizer is known, and only whole answers can be had."""

    def __init__(self, folder: Path | None) -> None:
        """Raises ValueError when the folder's tokenizer cannot be loaded."""
        self._tokenizer: Any = None if folder is None else _load(folder)

    def cut(self, answer: Answer, tokens: int) -> Cut:
        """The answer under a limit of `tokens`. Raises ValueError when it must be cut and there is no tokenizer."""
        if answer.answer_tokens <= tokens:
            return Cut(answer.text, answer.finish_reason, answer.answer_tokens, exact=True)
        if self._tokenizer is None:
            raise ValueError(
                f"an answer of {answer.answer_tokens} tokens cannot be cut at {tokens}: "
                "the model's tokenizer is not known"
            )
        if answer.ids is not None and self._reproduces(answer):
            text = self._written(answer.ids[:tokens], answer.prompt_ids)
            return Cut(text, "length", tokens, exact=True)
        encoding = self._tokenizer.encode(answer.text, add_special_tokens=False)
        end = encoding.offsets[tokens - 1][1] if len(encoding.offsets) >= tokens else len(answer.text)
        return Cut(answer.text[:end], "length", tokens, exact=False)

    def _reproduces(self, answer: Answer) -> bool:
        """Whether the ids, written as text, give the answer: not so where the engine took its text apart."""
        assert answer.ids is not None
        ids = answer.ids[:-1] if answer.finish_reason == "stop" else answer.ids
        return self._written(ids, answer.prompt_ids) == answer.text

    def _written(self, ids: Sequence[int], prompt_ids: Sequence[int] | None) -> str:
        """The ids as text; characters whose last bytes are not there are left out."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(ids=list(prompt_ids or ()), skip_special_tokens=True)
        return "".join(stream.step(self._tokenizer, id) or "" for id in ids)


def _load(folder: Path) -> Any:
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            return Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises Exception itself
            raise ValueError(f"{file.name} cannot be read: {error}") from error
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ValueError(f"the tokenizer cannot be loaded: {error}") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError("the tokenizer has no fast form (tokenizer.json), which cutting answers needs")
    return backend
