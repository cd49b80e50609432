"""Streams in memory say of themselves, and do, what the interpreter's own over pipes would."""

from __future__ import annotations

import io
import os

import pytest

from deepcoder_sandbox.unpiped_streams import PIPE_BUFFER_BYTES, TELLING, Given, Written, text_stream

INPUT = "3 4\nß→😀\r\n".encode() + b"\xff" * 5000 + b"\nend"
READ = {
    "all": lambda stdin: stdin.read(),
    "lines": list,
    "a line, then bytes": lambda stdin: (stdin.readline(), stdin.buffer.read()),
    "bytes at once": lambda stdin: [stdin.buffer.read1(n) for n in (1, 4095, 9000, -1, 1)],
    "what lies ready": lambda stdin: (stdin.buffer.peek(1), stdin.buffer.readline(), stdin.buffer.peek(1)),
    "into a buffer": lambda stdin: stdin.buffer.readinto(bytearray(6000)),
    "after the end": lambda stdin: (stdin.read(), stdin.read(), stdin.readline()),
    "what it is": lambda stdin: (
        *(stdin.name, stdin.mode, stdin.encoding, stdin.errors, stdin.newlines, stdin.line_buffering),
        *(stdin.isatty(), stdin.seekable(), stdin.readable(), stdin.writable(), repr(stdin), repr(stdin.buffer)),
        *(type(stdin.buffer).__name__, stdin.buffer.mode, stdin.buffer.name, stdin.buffer.seekable()),
    ),
}


def piped_input(data: bytes):
    """Standard input as the interpreter makes it over a pipe that holds `data`."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    binary = os.fdopen(reader, "rb")
    binary.raw.name = "<stdin>"
    return text_stream(binary, "r")


@pytest.mark.parametrize("how", READ)
def test_input_reads_as_from_a_pipe(how):
    """Whatever is asked of it, in whatever order."""
    with piped_input(INPUT) as piped:
        expected = READ[how](piped)
    unpiped = text_stream(io.BufferedReader(Given(INPUT), PIPE_BUFFER_BYTES), "r")
    assert READ[how](unpiped) == expected


def test_what_a_program_wrote_outlives_its_closing_the_stream():
    """What it wrote before counts, as it would have left a pipe."""
    held = Written()
    out = text_stream(io.BufferedWriter(held), "w")
    out.write("some\n")
    out.close()
    assert held.output == b"some\n"
    assert held.closed


def test_output_is_what_was_flushed():
    """And nothing of it is lost between several flushes."""
    held = Written()
    out = text_stream(io.BufferedWriter(held), "w")
    print("a" * 9000, file=out)
    print("ß", file=out, flush=True)
    out.buffer.write(b"\xff")
    assert held.output == b"a" * 9000 + "\nß\n".encode()
    out.flush()
    assert held.output.endswith(b"\xff")
    assert (out.name, out.mode, out.seekable(), out.buffer.mode) == ("<stdout>", "w", False, "wb")


@pytest.mark.parametrize("program", ["import os", "open(0)", "sys.stdin.fileno()", "sys.stdin.buffer.raw", "f.seek(0)"])
def test_programs_that_could_tell_are_known(program):
    """By a word of theirs."""
    assert TELLING.search(program)


@pytest.mark.parametrize("program", ["pos = 3", "print(cost)", "opened = []", "x.draw()", "import bisect"])
def test_words_that_only_contain_one_do_not_count(program):
    """Else hardly any program would have streams in memory."""
    assert not TELLING.search(program)
