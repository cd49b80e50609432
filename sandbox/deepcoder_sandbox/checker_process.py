"""In a forked child: a problem's checker program, which says of one output after another whether it is right.

It runs no model-written code and sees none; what a program gave comes to it as plain data.
"""

from __future__ import annotations

import builtins
import json
import os
from typing import Any, NoReturn

from deepcoder_sandbox.frames import PeerClosedError, receive_frame, send_frame
from deepcoder_sandbox.plain_data import NotPlainDataError, decode

FILE_NAME = "checker.py"


def answer_checks(source: str, channel: int, max_bytes: int) -> NoReturn:
    """Define `source`, then answer every frame (input, output, expected) with {"right", "detail"}."""
    names: dict[str, Any] = {"__name__": "checker", "__builtins__": builtins}
    broken = ""
    try:
        exec(compile(source, FILE_NAME, "exec", dont_inherit=True), names)
        names["check"]
    except BaseException as error:
        broken = f"the problem's checker cannot be run: {_line(error)}"
    try:
        while True:
            frame = receive_frame(channel, max_bytes)
            answer = {"right": False, "detail": broken} if broken else _check(names["check"], frame)
            send_frame(channel, json.dumps(answer).encode())
    except PeerClosedError:
        os._exit(0)


def _check(check: Any, frame: bytes) -> dict[str, Any]:
    try:
        right = check(*decode(frame))
    except NotPlainDataError as error:
        return {"right": False, "detail": str(error)}
    except BaseException as error:  # most often an output that is not of the form that it reads
        return {"right": False, "detail": f"the problem's checker raised {_line(error)}"}
    return {"right": bool(right), "detail": "" if right else "the problem's checker says no"}


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
