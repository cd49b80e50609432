"""A chat completion put together from what a server sends: events of a stream, or one JSON body. No I/O."""

from __future__ import annotations

import json
from array import array
from typing import Any

from deepcoder_evaluation.answers import Answer

WHOLE = frozenset({"stop", "length"})
PROMPT_IDS_KEPT = 64
"""Of a prompt's ids the last are kept: what decides how the first of the answer's are written."""
DONE = "[DONE]"
_FLUSH = 512


class BrokenAnswerError(Exception):
    """The server broke the answer off, or sent what is no chat completion. Another try may be whole."""


class AnswerParts:
    """The parts of one answer, in the order in which they came."""

    def __init__(self) -> None:
        self._reasoning: list[str] = []
        self._content: list[str] = []
        self._ids: array[int] | None = array("I")
        self._prompt_ids: tuple[int, ...] | None = None
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}

    def add(self, data: str) -> None:
        """Take up the data of one event. Raises BrokenAnswerError."""
        try:
            body = json.loads(data)
        except ValueError as error:
            raise BrokenAnswerError(f"not JSON: {data[:200]!r}") from error
        if not isinstance(body, dict):
            raise BrokenAnswerError(f"not a chat completion: {data[:200]!r}")
        if body.get("error"):
            raise BrokenAnswerError(f"the server says in its answer: {json.dumps(body['error'])[:300]}")
        try:
            self._add(body)
        except (KeyError, IndexError, TypeError, AttributeError, OverflowError, ValueError) as error:
            raise BrokenAnswerError(f"not a chat completion ({error!r}): {data[:200]!r}") from error

    def _add(self, body: dict[str, Any]) -> None:
        if isinstance(body.get("usage"), dict):
            self._usage = body["usage"]
        choices = body.get("choices")
        if not isinstance(choices, list):
            raise TypeError("choices")
        if not choices:
            return  # the event that has the usage alone
        choice = choices[0]
        said = choice.get("delta") if "delta" in choice else choice["message"]
        said = said or {}
        _append(self._content, said.get("content"))
        _append(self._reasoning, said.get("reasoning_content") or said.get("reasoning"))
        prompt_ids = body.get("prompt_token_ids") or choice.get("prompt_token_ids")
        if prompt_ids:
            self._prompt_ids = tuple(prompt_ids[-PROMPT_IDS_KEPT:])
        ids = choice.get("token_ids")
        if ids and self._ids is not None:
            self._ids.extend(ids)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def answer(self, seconds: float) -> Answer:
        """The whole answer. Raises BrokenAnswerError when its end never came, or came for the server's own reasons."""
        if self._finish_reason not in WHOLE:
            raise BrokenAnswerError(f"the answer was broken off: finish reason {self._finish_reason!r}")
        text = "".join(self._content)
        reasoning = "".join(self._reasoning)
        if reasoning:
            ended = f"\n</think>\n{text}" if text or self._finish_reason == "stop" else ""
            text = f"<think>\n{reasoning}{ended}"
        ids = self._ids if self._ids else None
        answer_tokens = int(self._usage.get("completion_tokens") or (len(ids) if ids else 0))
        if not text and not answer_tokens:
            raise BrokenAnswerError("the answer is empty, without a token")
        if ids is not None and len(ids) != answer_tokens:
            ids = None  # not told of every token
        return Answer(
            text=text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
            finish_reason=self._finish_reason,
            prompt_tokens=int(self._usage.get("prompt_tokens") or 0),
            answer_tokens=answer_tokens,
            seconds=seconds,
            ids=ids,
            prompt_ids=self._prompt_ids,
        )


def _append(parts: list[str], text: Any) -> None:
    if not text:
        return
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__}")
    parts.append(text)
    if len(parts) >= _FLUSH:  # a token's text is a few characters: as objects they would weigh twenty times as much
        parts[:] = ["".join(parts)]
