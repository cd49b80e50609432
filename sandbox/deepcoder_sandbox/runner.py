"""What a forked child runs once it is confined: a program on stdin, a program that answers calls, or a judge.

The child is one of ours until `ready` is sent; from then on nothing it says is trusted further than its role: a
program on stdin has only its three descriptors and its exit status, a program that answers calls can only return
plain values (or forge them, which is the same), and only a judge, which runs no model-written code, gives a verdict.
"""

from __future__ import annotations

import builtins
import json
import os
import socket
import sys
import time
import types
from typing import Any, NoReturn

from deepcoder_sandbox.frames import PeerClosedError, pack, receive_frame, send_frame
from deepcoder_sandbox.judge import judge
from deepcoder_sandbox.plain_data import NotPlainDataError, decode, encode

EXIT_SETUP = 97
EXIT_MEMORY = 96
EXIT_FLUSH = 120  # as CPython ends when it cannot flush standard output
MAX_PROGRAM_BYTES = 72 * 1024 * 1024
FILE_NAME = "program.py"
# A program that says none of these holds no stream of its own whose last output would be written at its end only.
STREAM_WORDS = ("open", "Wrapper", "Writer", "Buffered", "FileIO", "__del__")


def run(mode: str, channel: int, *, has_peer: bool, watched: bool) -> NoReturn:
    """Read what is to be run from `channel`, run it as `mode` says, and end the process.

    `watched`: /proc shows this run's processes alone, and goes to the server.
    """
    task = json.loads(receive_frame(channel, MAX_PROGRAM_BYTES))
    ready = json.dumps({"ready": True, "cpu": time.process_time()}).encode()
    if watched:
        _send_ready(channel, ready)
    else:
        send_frame(channel, ready)
    sys.setrecursionlimit(sys.getrecursionlimit() + _depth())
    if mode == "stdin":
        os.close(channel)
        _run_stdin_program(task["program"])
    elif mode == "calls":
        _answer_calls(task["program"], task["entry_point"], channel)
    elif mode == "judge" and has_peer:
        judge(task, channel, channel + 1)
    os._exit(EXIT_SETUP)


def _send_ready(channel: int, ready: bytes) -> None:
    """Say that the program begins now, and hand out our own /proc, by which the server watches the whole tree."""
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    end = socket.socket(fileno=os.dup(channel))
    try:
        socket.send_fds(end, [pack(ready)], [proc])
    finally:
        end.close()
        os.close(proc)


def _depth() -> int:
    """How many frames are ours: a program may recurse as deep as in an interpreter of its own."""
    depth, frame = 1, sys._getframe()
    while frame := frame.f_back:
        depth += 1
    return depth


def _new_module(name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE_NAME)
    sys.modules[name] = module
    return module.__dict__


def _run_stdin_program(program: str) -> NoReturn:
    """Run `program` as `python program.py` would, to the end of the process."""
    names, code = _new_module("__main__"), 0
    try:
        exec(compile(program, FILE_NAME, "exec", dont_inherit=True), names)
    except SystemExit as stop:
        code = _exit_code(stop)
    except BaseException as error:
        code = _report(error)
    os._exit(_shut_down(code, names, any(word in program for word in STREAM_WORDS)))


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code & 0xFF
    print(stop.code, file=sys.stderr)
    return 1


def _report(error: BaseException) -> int:
    """Print the traceback as the interpreter does, and say with which status the process ends."""
    try:
        import traceback

        trace = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, trace, file=sys.stderr)
    except BaseException:
        os.write(2, type(error).__name__.encode() + b"\n")
    return EXIT_MEMORY if isinstance(error, MemoryError) else 1


def _shut_down(code: int, names: dict[str, Any], holds_streams: bool) -> int:
    """The end of an interpreter: threads joined, atexit run, streams flushed. Returns the exit status.

    Its costly teardown is left out, but for a program that `holds_streams`: those it left open are flushed by it.
    """
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        import atexit

        atexit._run_exitfuncs()
        code = _flush(sys.stdout) or code
        if holds_streams:
            names.clear()
        return (_flush(sys.__stdout__) if sys.__stdout__ is not sys.stdout else 0) or code
    except BaseException as error:
        return _report(error) if isinstance(error, MemoryError) else code or EXIT_FLUSH


def _flush(stream: Any) -> int:
    """Flush a standard stream, which may be the program's own object. Returns the exit status that this leaves."""
    try:
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    except MemoryError:
        return EXIT_MEMORY
    except BaseException:
        return EXIT_FLUSH
    return 0


def _answer_calls(program: str, entry_point: str | None, channel: int) -> NoReturn:
    """Define `program`, then answer every frame of arguments with what the entry point gave for them."""
    names = _new_module("program")
    try:
        exec(compile(program, FILE_NAME, "exec", dont_inherit=True), names)
        function = _resolve(names, entry_point)
    except BaseException as error:
        send_frame(channel, _raised(error))
        os._exit(1)
    send_frame(channel, b'{"loaded": true}')
    try:
        while True:
            arguments, keywords = decode(receive_frame(channel, MAX_PROGRAM_BYTES))
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
