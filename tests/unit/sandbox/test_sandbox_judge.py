"""The judge's report on assertion code and a program that answers over a socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from deepcoder_sandbox.frames import PeerClosedError, receive_frame, send_frame
from deepcoder_sandbox.judge import Candidate, _check
from deepcoder_sandbox.plain_data import decode, encode

Check = Callable[[str, Callable[..., bytes | None]], dict[str, str]]
CATCHES_ALL = "def check(candidate):\n    try: candidate(1)\n    except Exception: pass\n"
EQUALS_7 = "def check(candidate): assert candidate(1) == 7\n"


def value(returned: object) -> bytes:
    """The answer of a program that returned."""
    return b'{"value": ' + encode(returned) + b"}"


def raised(kind: str, text: str = "") -> bytes:
    """The answer of a program that raised."""
    return json.dumps({"raised": kind, "name": kind, "text": text, "line": 1}).encode()


@pytest.fixture
def check() -> Iterator[Check]:
    """Run assertion code against a program that is a function from arguments to answer; None hangs up."""
    ours, theirs = socket.socketpair()
    threads: list[threading.Thread] = []

    def answer(program: Callable[..., bytes | None]) -> None:
        with theirs:
            try:
                while True:
                    arguments, keywords = decode(receive_frame(theirs.fileno(), 1 << 20))
                    reply = program(*arguments, **keywords)
                    if reply is None:
                        return
                    send_frame(theirs.fileno(), reply)
            except PeerClosedError:
                return

    def run(code: str, program: Callable[..., bytes | None]) -> dict[str, str]:
        threads.append(threading.Thread(target=answer, args=(program,), daemon=True))
        threads[0].start()
        return _check(code, Candidate(ours.fileno(), 10_000))

    yield run
    ours.close()
    for thread in threads:
        thread.join(5)


REPORTS = {
    "right": (EQUALS_7, lambda n: value(7), "passed", ""),
    "wrong": (EQUALS_7, lambda n: value(8), "wrong", "line 1 of the test"),
    "types are kept": ("def check(c): assert c() == (1, {2})\n", lambda: value((1, {2})), "passed", ""),
    "keywords": ("def check(c): assert c(1, b=2) == 3\n", lambda a, b: value(a + b), "passed", ""),
    "raised": (EQUALS_7, lambda n: raised("KeyError", "'a'"), "raised", "KeyError"),
    "raised as asked": (
        "def check(c):\n    try: c(1)\n    except ValueError as e: assert str(e) == 'odd'\n    else: assert 0\n",
        lambda n: raised("ValueError", "odd"),
        "passed",
        "",
    ),
    "raised an error that wants more than a text": (
        EQUALS_7,
        lambda n: raised("UnicodeDecodeError", "bad"),
        "raised",
        "RuntimeError: UnicodeDecodeError: bad",
    ),
    "SystemExit raised": (EQUALS_7, lambda n: raised("SystemExit"), "raised", "RuntimeError: SystemExit"),
    "StopIteration in a loop of the test": (
        "def check(c): assert list(map(c, [1, 2])) == []\n",
        lambda n: raised("StopIteration"),
        "raised",
        "RuntimeError: the program raised StopIteration",
    ),
    "an AssertionError of its own": (EQUALS_7, lambda n: raised("AssertionError"), "raised", "AssertionError"),
    "hung up": (EQUALS_7, lambda n: None, "gone", "in the middle of a call"),
    "hung up where all is caught": (CATCHES_ALL, lambda n: None, "gone", "in the middle of a call"),
    "not plain": (EQUALS_7, lambda n: b'{"not_plain": "returned a function"}', "gone", "returned a function"),
    "no JSON": (EQUALS_7, lambda n: b"\xff", "gone", "is no answer"),
    "no answer": (EQUALS_7, lambda n: b"[1]", "gone", "is no answer"),
    "a verdict": (EQUALS_7, lambda n: b'{"verdict": "passed"}', "gone", "is no answer"),
    "a forged tag": (EQUALS_7, lambda n: b'{"value": {"set": [[1]]}}', "gone", "is no answer"),
    "too deep": (EQUALS_7, lambda n: b'{"value": ' + b"[" * 2000 + b"]" * 2000 + b"}", "gone", "too deeply"),
    "too large": (EQUALS_7, lambda n: value("x" * 20_000), "flooded", "at most 10000"),
    "too large where all is caught": (CATCHES_ALL, lambda n: value("x" * 20_000), "flooded", "at most 10000"),
    "code that fails by itself": ("def check(c): [][1]\n", lambda: value(1), "wrong", "IndexError"),
    "code without check": ("x = 1\n", lambda: value(1), "broken", "KeyError"),
    "code that cannot be run": ("import nothing_of_this_name\n", lambda: value(1), "broken", "nothing_of_this_name"),
    "code that lacks a name": ("def check(c): helper(c)\n", lambda: value(1), "broken", "helper"),
    "code that passes a function": ("def check(c): c(print)\n", lambda f: value(1), "broken", "the test passes"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report_tells_what_became_of_the_check(check, name):
    """Only a check that runs to its end has passed; each other end has its own name."""
    code, program, verdict, detail = REPORTS[name]
    report = check(code, program)
    assert report["verdict"] == verdict, report
    assert detail in report["detail"]


def test_program_cannot_change_the_arguments(check):
    """The program gets copies: assertion code sees its own values as they were."""
    code = "def check(candidate):\n    x = [1]\n    candidate(x)\n    assert x == [1]\n"
    assert check(code, lambda x: value(x.append(2)))["verdict"] == "passed"
