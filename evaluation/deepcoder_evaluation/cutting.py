"""What an answer would have been under a shorter response limit: its first tokens, as the engine would write them.

With the engine's own token ids a cut is exact: ids are written as text the way vLLM writes them, one after the other,
with the end of the prompt before them. Of an answer that came as text alone the text is tokenised again, which is
approximate, because a model may write the same text by other tokens.
"""

from __future__ import annotations

from array import array
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
        """The answer under a limit of `tokens`. Raises as `cuts`."""
        return self.cuts(answer, (tokens,))[0]

    def cuts(self, answer: Answer, limits: Sequence[int]) -> list[Cut]:
        """The answer under each limit in tokens. Raises ValueError when it must be cut and there is no tokenizer."""
        whole = Cut(answer.text, answer.finish_reason, answer.answer_tokens, exact=True)
        shorter = [limit for limit in limits if limit < answer.answer_tokens]
        if not shorter:
            return [whole] * len(limits)
        if self._tokenizer is None:
            raise ValueError(
                f"an answer of {answer.answer_tokens} tokens cannot be cut at {shorter[0]}: "
                "the model's tokenizer is not known"
            )
        texts = self._exact(answer, shorter)
        exact = texts is not None
        if texts is None:
            texts = self._approximate(answer.text, shorter)
        return [Cut(texts[limit], "length", limit, exact) if limit in texts else whole for limit in limits]

    def _exact(self, answer: Answer, limits: Sequence[int]) -> dict[int, str] | None:
        """The text of the first tokens by the engine's ids, by limit, less a character whose last bytes are missing.

        None where there are no ids, or where they, written as text, do not give the answer: an engine took it apart.
        """
        from tokenizers.decoders import DecodeStream

        if answer.ids is None:
            return None
        stream = DecodeStream(ids=list(answer.prompt_ids or ()), skip_special_tokens=True)
        ids = answer.ids[:-1] if answer.finish_reason == "stop" else answer.ids
        ends, length, parts = array("L", [0]), 0, []
        for id in ids:
            part = stream.step(self._tokenizer, id) or ""
            length += len(part)
            ends.append(length)
            parts.append(part)
        if "".join(parts) != answer.text:
            return None
        return {limit: answer.text[: ends[min(limit, len(ids))]] for limit in limits}

    def _approximate(self, text: str, limits: Sequence[int]) -> dict[int, str]:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return {limit: text[: offsets[limit - 1][1]] if limit <= len(offsets) else text for limit in limits}


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
