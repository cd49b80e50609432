"""What is read from a request, and how one is refused: with a status, and a reason that says what to do."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

Model = TypeVar("Model", bound=BaseModel)


class RefusedError(Exception):
    """A request that is answered with an error status and its reason. `retry_after` is in seconds."""

    def __init__(self, status: int, reason: Any, retry_after: int | None = None) -> None:
        super().__init__(str(reason))
        self.status, self.reason, self.retry_after = status, reason, retry_after

    @property
    def headers(self) -> dict[str, str] | None:
        """Retry-After, where asking again may help."""
        return None if self.retry_after is None else {"Retry-After": str(self.retry_after)}


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises RefusedError, 413, once it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise RefusedError(413, f"a body of more than {max_bytes} bytes")
    return bytes(body)


def parse(kind: type[Model], body: bytes) -> Model:
    """`body` as JSON of `kind`. Raises RefusedError, 422, with pydantic's list of what is wrong, without its values."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(422, json.loads(error.json(include_url=False, include_input=False))) from error
