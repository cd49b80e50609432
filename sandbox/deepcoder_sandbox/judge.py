"""The judge: runs a test's assertion code in a process of its own and calls the program through plain data only.

The program is a peer behind a socket. What it returns are plain values, what it raises arrives as a plain exception
of the same builtin type. Arguments are copies: assertion code cannot see a program change them in place.
"""

from __future__ import annotations

import builtins
import json
import os
from typing import Any, NoReturn

from deepcoder_sandbox.frames import FrameTooLargeError, PeerClosedError, receive_frame, send_frame
from deepcoder_sandbox.plain_data import NotPlainDataError, encode, untag


class ProgramGone(BaseException):
    """The program's process ended, or said what no program of ours says, in the middle of a call.

    Not an Exception: assertion code that catches errors must not take it for one of the program's.
    """


class ProgramFlooded(ProgramGone):
    """The program's answer is larger than its output may be."""


class Candidate:
    """Calls the program's entry point over `peer`."""

    def __init__(self, peer: int, max_bytes: int) -> None:
        self._peer = peer
        self._max_bytes = max_bytes
        self.raised: BaseException | None = None

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the entry point returns for copies of `arguments`. Raises what it raises, or ProgramGone."""
        try:
            send_frame(self._peer, encode((list(arguments), keywords)))
            answer = json.loads(receive_frame(self._peer, self._max_bytes))
        except FrameTooLargeError as error:
            raise ProgramFlooded(f"the program returned {error}") from None
        except PeerClosedError:
            raise ProgramGone("the program ended in the middle of a call") from None
        except RecursionError:
            raise ProgramGone("the program returned a value nested too deeply") from None
        except ValueError as error:
            raise ProgramGone(f"the program's answer is no answer: {error}") from None
        return self._take(answer)

    def _take(self, answer: Any) -> Any:
        if isinstance(answer, dict) and answer.keys() == {"value"}:
            try:
                return untag(answer["value"])
            except NotPlainDataError as error:
                raise ProgramGone(f"the program's answer is no answer: {error}") from None
        if isinstance(answer, dict) and answer.keys() == {"not_plain"}:
            raise ProgramGone(f"the program {answer['not_plain']}")
        if isinstance(answer, dict) and "raised" in answer:
            self.raised = _plain_exception(answer)
            raise self.raised
        raise ProgramGone("the program's answer is no answer")


def _plain_exception(answer: dict[str, Any]) -> Exception:
    kind = getattr(builtins, str(answer["raised"]), None)
    text = str(answer.get("text", ""))
    if kind in (StopIteration, StopAsyncIteration):  # would end the test's own loops, as if it had passed (PEP 479)
        return RuntimeError(f"the program raised {kind.__name__}")
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and its like want more than a text
            pass
    return RuntimeError(f"{answer.get('name', 'Exception')}: {text}")


def judge(task: dict[str, Any], channel: int, peer: int) -> NoReturn:
    """Run `task["code"]`'s check against the program behind `peer`; report on `channel` and end the process."""
    candidate = Candidate(peer, task["max_bytes"])
    report = _check(task["code"], candidate)
    send_frame(channel, json.dumps(report).encode())
    os._exit(0)


def _check(code: str, candidate: Candidate) -> dict[str, str]:
    names: dict[str, Any] = {"__name__": "check", "__builtins__": builtins}
    try:
        exec(compile(code, "check.py", "exec", dont_inherit=True), names)
        check = names["check"]
    except BaseException as error:
        return {"verdict": "broken", "detail": f"the test's assertion code cannot be run: {_line(error)}"}
    try:
        check(candidate)
    except ProgramFlooded as error:
        return {"verdict": "flooded", "detail": str(error)}
    except ProgramGone as error:
        return {"verdict": "gone", "detail": str(error)}
    except NotPlainDataError as error:
        return {"verdict": "broken", "detail": f"the test passes {error}"}
    except BaseException as error:
        if error is candidate.raised:
            return {"verdict": "raised", "detail": _line(error)}
        if isinstance(error, NameError):
            return {"verdict": "broken", "detail": f"{_line(error)} (assertion code must define what it uses)"}
        return {"verdict": "wrong", "detail": _where(error)}
    return {"verdict": "passed", "detail": ""}


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


def _where(error: BaseException) -> str:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "check.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line} of the test: {_line(error)}"
