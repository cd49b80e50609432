"""In a forked child: a program on standard input, as `python program.py` runs it. Once, to the end of the process, or
test after test where the program leaves nothing behind (`shareable`); inputs then come ahead of their turn."""

from __future__ import annotations

import ast
import gc
import io
import json
import os
import resource
import socket
import sys
import time
from types import CodeType
from typing import Any, NoReturn

from deepcoder_sandbox.frames import pack, write_all
from deepcoder_sandbox.program_module import EXIT_MEMORY, FILE_NAME, allow_full_depth, new_module
from deepcoder_sandbox.sent_ahead import Inputs
from deepcoder_sandbox.shareable import shareable
from deepcoder_sandbox.unpiped_streams import PIPE_BUFFER_BYTES, TELLING, Given, Written, text_stream

EXIT_FLUSH = 120  # as CPython ends when it cannot flush standard output
# A program that says none of these holds nothing whose last output would be written at the interpreter's end only.
STREAM_WORDS = ("open", "Wrapper", "Writer", "Buffered", "FileIO", "__del__", "finally", "__exit__")


def run_program(program: str, tests: int, mark: bytes, channel: socket.socket) -> NoReturn:
    """Run `program` on descriptors 0 and 1; with more than one test, again on the inputs that come by `channel`.

    Only then does the channel stay open, and `mark` and a frame {"status", "wall" and "cpu" in seconds, "memory" in
    MiB} follow the output of each run.
    """
    code = _shareable_code(program) if tests > 1 else None
    if code is not None:
        _run_tests(code, program, mark, channel)
    channel.close()
    _open_streams()
    names = new_module("__main__")
    status = _execute(program, names)
    os._exit(_shut_down(status, names, any(word in program for word in STREAM_WORDS)))


def _shareable_code(program: str) -> CodeType | None:
    try:
        tree = ast.parse(program, FILE_NAME)
        return compile(tree, FILE_NAME, "exec", dont_inherit=True) if shareable(tree) else None
    except BaseException:  # it will be told when the program is run
        return None


def _run_tests(code: CodeType, program: str, mark: bytes, channel: socket.socket) -> NoReturn:
    """Test after test. The first, and what is run again alone as it did not end well, has pipes, as any program has."""
    inputs, output = Inputs(channel), os.dup(1)
    in_memory, digits = not TELLING.search(program), sys.get_int_max_str_digits()
    held = None
    _open_streams()
    before = resource.getrusage(resource.RUSAGE_SELF)
    while True:
        begun = time.monotonic()
        names = new_module("__main__")
        status = _shut_down(_execute(code, names), names, True)
        used = resource.getrusage(resource.RUSAGE_SELF)
        report = {
            "status": status,
            "wall": time.monotonic() - begun,
            "cpu": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
            "memory": used.ru_maxrss / 1024,
        }
        before = used
        if held is None:
            _turn_away()
        write_all(output, (held.output if held else b"") + mark + pack(json.dumps(report).encode()))
        _put_back(program, digits)
        given = inputs.take()
        if given is None:
            os._exit(0)
        held = _give(given, output, in_memory)


def _turn_away() -> None:
    """Let what is still said and asked on the standard descriptors go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _give(given: bytes | int, output: int, in_memory: bool) -> Written | None:
    """Make an input, or the pipe that it comes by, standard input. Returns what holds the output, if no pipe does."""
    if in_memory and isinstance(given, bytes):
        held = Written()
        sys.stdin = sys.__stdin__ = text_stream(io.BufferedReader(Given(given), PIPE_BUFFER_BYTES), "r")
        sys.stdout = sys.__stdout__ = text_stream(io.BufferedWriter(held), "w")
        return held
    reader = given if isinstance(given, int) else _filled_pipe(given)
    os.dup2(reader, 0)
    os.close(reader)
    os.dup2(output, 1)
    _open_streams()
    return None


def _filled_pipe(data: bytes) -> int:
    reader, writer = os.pipe()
    write_all(writer, data)
    os.close(writer)
    return reader


def take_streams(channel: socket.socket) -> int:
    """Wait for descriptors that become standard input, and output when there are two. Returns how many came."""
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 2)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    return len(descriptors)


def _put_back(program: str, digits: int) -> None:
    """Make the interpreter as it was before the program: all that a shareable program can have changed.

    Its standard streams it gets when there is something behind them.
    """
    sys.stdin = sys.stdout = sys.__stdin__ = sys.__stdout__ = None  # what they and garbage still say goes nowhere
    sys.stderr = sys.__stderr__
    sys.set_int_max_str_digits(digits)
    gc.enable()
    gc.collect()
    if "random" in program:
        sys.modules["random"].seed()
    if "decimal" in program:
        sys.modules["decimal"].setcontext(sys.modules["decimal"].DefaultContext.copy())


def _open_streams() -> None:
    """Standard input and output as they are now: the zygote's, which are no pipes, say so of themselves."""
    sys.stdin = sys.__stdin__ = _standard_stream(0, "r", "<stdin>")
    sys.stdout = sys.__stdout__ = _standard_stream(1, "w", "<stdout>")


def _standard_stream(descriptor: int, mode: str, name: str) -> Any:
    """As the interpreter makes its own, `mode` and `name` included, which programs ask for."""
    binary: Any = open(descriptor, f"{mode}b", closefd=False)  # noqa: SIM115 - it lives on
    binary.raw.name = name
    return text_stream(binary, mode)


def _execute(program: str | CodeType, names: dict[str, Any]) -> int:
    """Run the program in its module. Returns the exit status that an interpreter would end with."""
    try:
        code = compile(program, FILE_NAME, "exec", dont_inherit=True) if isinstance(program, str) else program
        allow_full_depth()
        exec(code, names)
    except SystemExit as stop:
        return _exit_code(stop)
    except BaseException as error:
        return _report(error)
    return 0


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
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        BaseException.with_traceback(error, trace)  # without the frame of ours
        sys.__excepthook__(type(error), error, trace)
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
            sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
            names.clear()
            gc.collect()
        return _flush(sys.__stdout__) or code
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
