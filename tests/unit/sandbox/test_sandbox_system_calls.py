"""The filter on system calls, put on a process of this machine's own kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deepcoder_sandbox.system_calls import CLONE, FCNTL, MMAP, REFUSED, SETSOCKOPT, SOCKET, steps

REFUSED_LINES = {
    "a namespace": "assert libc.unshare(0x10000000) == -1 and ctypes.get_errno() == 1",
    "a namespace by clone": "assert libc.syscall(CLONE, 0x10000011, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 1",
    "clone3": "assert libc.syscall(435, None, 0) == -1 and ctypes.get_errno() == 38",
    "memory in a file": "refused(os.memfd_create, 'x')",
    "anonymous shared memory": "refused(mmap.mmap, -1, 4096)",
    "an attribute": "refused(os.setxattr, '/dev/null', 'user.x', b'x')",
    "a network": "refused(socket.socket)",
    "a larger buffer": "refused(a.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)",
    "a larger pipe": "refused(fcntl.fcntl, os.pipe()[0], 1031, 1 << 20)",
    "a descriptor in flight": "refused(socket.send_fds, a, [b'x'], [0])",
}
ALLOWED_LINES = {
    "private memory": "mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE)",
    "memory shared through a file": "f = tempfile.TemporaryFile(); f.truncate(4096); mmap.mmap(f.fileno(), 4096)",
    "a thread": "t = threading.Thread(target=print); t.start(); t.join()",
    "a process": "assert os.waitpid(os.fork() or os._exit(7), 0)[1] == 7 << 8",
    "another program": "assert subprocess.run(['true']).returncode == 0",
    "a socket pair": "a.sendall(b'x'); assert b.recv(1) == b'x'",
    "other socket options": "a.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)",
    "other descriptor flags": "fcntl.fcntl(a, fcntl.F_SETFL, os.O_NONBLOCK)",
}
PREPARED = """
import ctypes, fcntl, mmap, os, socket, subprocess, tempfile, threading
from deepcoder_sandbox import namespaces, system_calls
libc = ctypes.CDLL(None, use_errno=True)
CLONE = namespaces._CLONE
a, b = socket.socketpair()
def refused(function, *arguments):
    try: function(*arguments)
    except PermissionError: return
    raise SystemExit("not refused")
namespaces.prctl(namespaces.PR_SET_NO_NEW_PRIVS, 1)
system_calls.refuse()
"""


@pytest.mark.parametrize(
    "line", [*REFUSED_LINES.values(), *ALLOWED_LINES.values()], ids=[*REFUSED_LINES, *ALLOWED_LINES]
)
def test_filter_refuses_what_it_must_and_nothing_else(line):
    """Each call fails with the filter's own error, or works as it does without."""
    command = [sys.executable, "-c", PREPARED + line]
    done = subprocess.run(
        command, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_every_call_that_is_named_is_in_the_filter(machine, column):
    """Both machines' filters ask for each number once, and no jump leaves the program or goes too far."""
    program = steps(machine)
    asked = [operand for code, *_, operand in program[6:] if code == 0x15]
    named = [numbers[column] for numbers in (*REFUSED.values(), CLONE, SOCKET, SETSOCKOPT, FCNTL, MMAP)]
    assert set(named) <= set(asked)
    for place, (_, yes, no, _) in enumerate(program):
        assert max(yes, no) < 256
        assert place + max(yes, no) < len(program)
