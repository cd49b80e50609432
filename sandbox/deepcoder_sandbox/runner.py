"""What a forked child runs once it is confined: a program on stdin, one for calls, a judge, a checker, a comparison.

The child is one of ours until `ready` is sent; from then on nothing it says is trusted further than its role: a
program on stdin has only its three descriptors and its exit status, a program that answers calls can only return
plain values (or forge them, which is the same); only a judge, a checker or a comparison, which run no model-written
code, decide.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any, NoReturn

from deepcoder_sandbox import system_calls
from deepcoder_sandbox.checker_process import answer_checks
from deepcoder_sandbox.frames import PeerClosedError, pack, read_frame, receive_frame, send_frame
from deepcoder_sandbox.judge import judge
from deepcoder_sandbox.plain_data import NotPlainDataError, decode_call, encode
from deepcoder_sandbox.program_module import EXIT_MEMORY, FILE_NAME, allow_full_depth, new_module
from deepcoder_sandbox.stdin_program import run_program, take_streams

EXIT_SETUP = 97
MAX_PROGRAM_BYTES = 72 * 1024 * 1024


def run(mode: str, channel: int, *, has_peer: bool, watched: bool) -> NoReturn:
    """Read what is to be run from `channel`, run it as `mode` says, and end the process.

    `watched`: /proc shows this run's processes alone, and goes to the server.
    """
    end = socket.socket(fileno=channel)
    if mode == "stdin":
        take_streams(end)
    task = json.loads(receive_frame(channel, MAX_PROGRAM_BYTES))
    _send_ready(end, watched)
    system_calls.refuse()
    if mode == "stdin":
        run_program(task["program"], task["tests"], bytes.fromhex(task["mark"]), end)
    elif mode == "calls":
        _answer_calls(task["program"], task["entry_point"], channel)
    elif mode == "judge" and has_peer:
        judge(task, channel, channel + 1)
    elif mode == "math":
        _compare(task["expected"], task["answer"], channel)
    elif mode == "check":
        answer_checks(task["checker"], channel, task["max_bytes"])
    os._exit(EXIT_SETUP)


def _compare(expected: str, answer: str, channel: int) -> NoReturn:
    from deepcoder_sandbox.math_equality import equal  # this zygote has it, others do without SymPy

    try:
        report = {"right": equal(expected, answer)}
    except MemoryError:
        os._exit(EXIT_MEMORY)
    except RecursionError:
        report = {"right": False}
    send_frame(channel, json.dumps(report).encode())
    os._exit(0)


def _send_ready(end: socket.socket, watched: bool) -> None:
    """Say that the program begins now; `watched`: and hand out our own /proc, by which the server sees the tree."""
    proc = [os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)] if watched else []
    socket.send_fds(end, [pack(json.dumps({"ready": True, "cpu": time.process_time()}).encode())], proc)
    for descriptor in proc:
        os.close(descriptor)


def _answer_calls(program: str, entry_point: str | None, channel: int) -> NoReturn:
    """Define `program`, then answer every frame of arguments with what the entry point gave for them."""
    names = new_module("program")
    try:
        allow_full_depth()
        exec(compile(program, FILE_NAME, "exec", dont_inherit=True), names)
        function = _resolve(names, entry_point)
    except BaseException as error:
        send_frame(channel, _raised(error))
        os._exit(1)
    send_frame(channel, b'{"loaded": true}')
    calls = open(channel, "rb", buffering=1 << 16, closefd=False)  # noqa: SIM115 - several come at once
    try:
        while True:
            arguments, keywords = decode_call(read_frame(calls, MAX_PROGRAM_BYTES))
            send_frame(channel, _answer(function, arguments, keywords))
    except PeerClosedError:
        os._exit(0)


def _resolve(names: dict[str, Any], entry_point: str | None) -> Any:
    if entry_point is None:
        raise NameError("the problem names no entry point")
    head, _, method = entry_point.partition(".")
    if head not in names:
        raise NameError(f"the program does not define {head}")
    found = names[head]
    return getattr(found(), method) if method else found


def _answer(function: Any, arguments: list[Any], keywords: dict[str, Any]) -> bytes:
    try:
        return b'{"value": ' + encode(function(*arguments, **keywords)) + b"}"
    except NotPlainDataError as error:
        return json.dumps({"not_plain": f"returned {error}"}).encode()
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> bytes:
    """The exception as plain data: its nearest builtin type, its text and the line of the program it came from."""
    kind = next((base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins"), "Exception")
    try:
        text = str(error)[:1000]
    except BaseException:
        text = ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return json.dumps({"raised": kind, "name": type(error).__name__, "text": text, "line": line}).encode()
