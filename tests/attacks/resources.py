"""Attacks that take more than a program may have: processes, memory in all its hiding places, disk, descriptors, output.

Those on memory that no process has resident succeed, and say so, when they hold more than a program's limit.
"""

from __future__ import annotations

from functools import partial

from tests.attacks.attack import CALLED_KINDS, THREE_KINDS, Attack, in_kinds

_attack = partial(Attack, "resources")

_LIBC = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = libc.mmap.restype = ctypes.c_void_p
"""

ATTACKS = (
    _attack(
        "fork bomb",
        "as many processes as the kernel gives",
        """
import os
while True:
    try: os.fork()
    except OSError: pass
""",
        hangs=True,
    ),
    _attack(
        "fork bomb in sessions of its own",
        "a signal to the group reaches none of them",
        """
import os, time
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: time.sleep(0.01)
""",
        hangs=True,
    ),
    _attack(
        "more processes than allowed",
        "succeeds with twice the limit alive at once",
        """
import os, time
alive = 0
for _ in range(33):
    try: pid = os.fork()
    except OSError: break
    if pid == 0: time.sleep(3); os._exit(0)
    alive += 1
time.sleep(1)
if alive >= 32: won()
""",
    ),
    _attack(
        "thread bomb",
        "as many threads as the kernel gives",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()\n",
        hangs=True,
    ),
    *in_kinds(
        THREE_KINDS,
        _attack("list hog", "the plainest way to memory", "x = []\nwhile True: x.append(bytearray(10**6))\n"),
    ),
    _attack(
        "one huge object",
        "asks for a terabyte at once, and again",
        "while True:\n    try: x = bytearray(1 << 40)\n    except MemoryError: x = [0] * (1 << 38)\n",
    ),
    _attack(
        "numpy hog",
        "memory from C code, in arrays",
        "import numpy\nx = [numpy.ones(10**6) for _ in range(10**4)]\n",
    ),
    _attack(
        "private mapping hog",
        "memory past the allocator, straight from the kernel",
        _LIBC
        + """
while True:
    at = libc.mmap(None, ctypes.c_size_t(1 << 24), 3, 0x22, -1, ctypes.c_long(0))
    if at == 2**64 - 1: raise MemoryError
    ctypes.memset(at, 1, 1 << 24)
""",
    ),
    _attack(
        "hog in many processes",
        "each below the limit, together far above",
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0: break\nx = bytearray(120 << 20)\ntime.sleep(60)\n",
    ),
    _attack(
        "hog with closed streams",
        "the server must go on watching a program that has answered and whose output has ended",
        """
import os, time
print(2 * int(input()), flush=True)
for n in range(3): os.close(n)
for _ in range(5):
    if os.fork() == 0:
        x = bytearray(200 << 20)
        for n in range(0, len(x), 4096): x[n] = 1
        time.sleep(2)
        os._exit(0)
time.sleep(4)
os._exit(0)
""",
    ),
    _attack(
        "memory in memfd files",
        "no process has their pages resident",
        """
import os
held, keep = 0, []
for _ in range(8):
    keep.append(os.memfd_create("x"))
    for _ in range(50): held += os.write(keep[-1], bytes(1 << 20))
if held > 300 << 20: won()
""",
    ),
    _attack(
        "memory in System V segments",
        "written, then detached: it stays",
        _LIBC
        + """
held = 0
for _ in range(8):
    key = libc.shmget(0, ctypes.c_size_t(50 << 20), 0o1600)
    at = libc.shmat(key, None, 0)
    if key < 0 or at == 2**64 - 1: break
    ctypes.memset(at, 1, 50 << 20)
    libc.shmdt(ctypes.c_void_p(at))
    held += 50
if held > 300: won()
""",
    ),
    _attack(
        "shared memory that is not resident",
        "dropped from the process, kept by the kernel",
        """
import mmap
held, keep = 0, []
for _ in range(8):
    keep.append(mmap.mmap(-1, 50 << 20))
    keep[-1][::4096] = b"x" * (50 << 8)
    keep[-1].madvise(mmap.MADV_DONTNEED)
    held += 50
if held > 300: won()
""",
    ),
    _attack(
        "shared mappings of /dev/zero",
        "anonymous shared memory by another name",
        """
import mmap, os
held, keep = 0, []
for _ in range(8):
    keep.append(mmap.mmap(os.open("/dev/zero", os.O_RDWR), 50 << 20))
    keep[-1][::4096] = b"x" * (50 << 8)
    keep[-1].madvise(mmap.MADV_DONTNEED)
    held += 50
if held > 300: won()
""",
    ),
    _attack(
        "a tmpfs of its own",
        "in namespaces of its own a program may mount one without a bound",
        _LIBC
        + """
libc.unshare(0x10020000)
libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)
held = 0
for n in range(6):
    with open(f"/tmp/{n}", "wb", 0) as file:
        for _ in range(50): held += file.write(bytes(1 << 20))
if held > 100 << 20: won()
""",
    ),
    _attack(
        "memory in extended attributes",
        "neither disk nor memory of a process",
        """
import os
held = 0
for n in range(100):
    open(f"f{n}", "w").close()
    for m in range(20):
        os.setxattr(f"f{n}", f"user.{m}", bytes(60000))
        held += 60000
if held > 100 << 20: won()
""",
    ),
    _attack(
        "memory in socket buffers",
        "megabytes in each socket, without limit",
        """
import socket
held, keep = 0, []
try:
    for _ in range(100):
        a, b = socket.socketpair()
        keep += [a, b]
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            for end in (a, b):
                try: end.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
                except OSError: pass
        a.setblocking(False)
        try:
            while True: held += a.send(bytes(1 << 16))
        except BlockingIOError: pass
except OSError: pass
if held > 100 << 20: won()
""",
    ),
    _attack(
        "memory in connections that nobody accepts",
        "their senders are closed, what they sent stays with the listener",
        """
import socket
held = 0
for name in "ab":
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen(4096)
    try:
        for _ in range(500):
            end = socket.socket(socket.AF_UNIX)
            end.settimeout(0.5)
            end.connect(name)
            end.setblocking(False)
            try:
                while True: held += end.send(bytes(1 << 16))
            except BlockingIOError: end.close()
    except OSError: pass
if held > 60 << 20: won()
""",
    ),
    _attack(
        "events that nobody reads",
        "each file opened is told to hundreds of queues without end",
        _LIBC
        + """
ends = [libc.inotify_init1(0) for _ in range(100)]
if min(ends) < 0: raise SystemExit(1)
for end in ends: libc.inotify_add_watch(end, b".", 0xFFF)
for _ in range(100): os.close(os.open("f", os.O_CREAT))
won()
""",
    ),
    _attack(
        "timer hog",
        "each a thing of the kernel's, and none of them counted",
        _LIBC
        + """
made = ctypes.c_int()
for _ in range(5000):
    if libc.syscall(222 if os.uname().machine == "x86_64" else 107, 1, None, ctypes.byref(made)): raise SystemExit(1)
won()
""",
    ),
    _attack(
        "memory in TCP buffers",
        "over the loopback of its own network",
        """
import socket
held, keep = 0, []
server = socket.create_server(("127.0.0.1", 0))
for _ in range(100):
    keep += [socket.create_connection(server.getsockname(), 1), server.accept()[0]]
    keep[-1].setblocking(False)
    try:
        while True: held += keep[-1].send(bytes(1 << 16))
    except BlockingIOError: pass
if held > 50 << 20: won()
""",
    ),
    _attack(
        "memory in pipe buffers",
        "a megabyte in each pipe",
        """
import fcntl, os
held = 0
try:
    for _ in range(120):
        _, end = os.pipe()
        try: fcntl.fcntl(end, 1031, 1 << 20)
        except OSError: pass
        os.set_blocking(end, False)
        try:
            while True: held += os.write(end, bytes(1 << 16))
        except BlockingIOError: pass
except OSError: pass
if held > 60 << 20: won()
""",
    ),
    _attack(
        "disk hog",
        "more files than its folder may hold",
        """
held = 0
try:
    for n in range(100):
        with open(f"f{n}", "wb", 0) as file: held += file.write(bytes(10**7))
except OSError: pass
if held > 100 * 10**6: won()
""",
    ),
    _attack(
        "files without a name",
        "unlinked, and kept open",
        """
import os
held, keep = 0, []
try:
    for n in range(100):
        keep.append(open("f", "wb", 0))
        os.unlink("f")
        for _ in range(10): held += keep[-1].write(bytes(10**6))
except OSError: pass
if held > 100 * 10**6: won()
""",
    ),
    _attack(
        "holes filled through mappings",
        "sparse files written by page faults, past the bound on writes",
        """
import mmap
keep = []
for n in range(6):
    keep.append(open(f"f{n}", "w+b"))
    keep[-1].truncate(40 << 20)
    area = mmap.mmap(keep[-1].fileno(), 40 << 20)
    area[::4096] = b"x" * (40 << 8)
    area.close()
won()
""",
    ),
    _attack(
        "one file without end",
        "a sparse file of a terabyte",
        """
import os
with open("f", "wb") as file:
    os.ftruncate(file.fileno(), 1 << 40)
    os.posix_fallocate(file.fileno(), 0, 1 << 30)
won()
""",
    ),
    _attack(
        "inode hog",
        "files that hold nothing, in thousands",
        """
import os
n = 0
try:
    while n < 10000:
        os.mkdir(f"{n}"); n += 1
except OSError: pass
if n >= 10000: won()
""",
    ),
    _attack(
        "descriptor hog",
        "succeeds with more descriptors than allowed",
        "import os\nx = []\ntry:\n    while len(x) < 600: x += os.pipe()\nexcept OSError: pass\nif len(x) >= 600: won()\n",
    ),
    _attack(
        "descriptors in flight",
        "sent over a socket and not received, they count against nobody",
        """
import os, socket
a, b = socket.socketpair()
for _ in range(600):
    end, other = os.pipe()
    socket.send_fds(a, [b"x"], [end])
    os.close(end); os.close(other)
won()
""",
    ),
    _attack(
        "lock hog",
        "a million ranges locked in one file",
        "import fcntl\nf, n = open('l', 'w'), 0\nwhile True: fcntl.lockf(f, fcntl.LOCK_EX, 1, 2 * n); n += 1\n",
        hangs=True,
    ),
    _attack("output flood", "standard output without end", "while True: print('y' * 10**5)\n"),
    _attack("error flood", "standard error without end", "import sys\nwhile True: sys.stderr.write('y' * 10**5)\n"),
    _attack(
        "flood from many processes",
        "each writes less than the limit",
        "import os\nfor _ in range(3): os.fork()\nos.write(1, b'y' * 10**6)\nos.write(2, b'y' * 10**6)\n",
    ),
    _attack(
        "line without end", "a hundred megabytes and no newline", "import os\nwhile True: os.write(1, bytes(10**6))\n"
    ),
    *in_kinds(
        CALLED_KINDS, _attack("huge answer", "returned by the function", "def f(*a): return 'y' * 10**8\n", hangs=True)
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "frame that announces gigabytes",
            "and never comes",
            "import os, time\ndef f(*a):\n    os.write(3, b'\\xff\\xff\\xff\\xff')\n    time.sleep(99)\n",
            hangs=True,
        ),
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "empty frames without end",
            "each as small as can be, so that many fit",
            "import os\ndef f(*a):\n    while True: os.write(3, bytes(1 << 16))\n",
            hangs=True,
        ),
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "answer of values with one hash",
            "building a set of them takes its reader hours",
            """
import os, time
text = ",".join(str(n * ((1 << 61) - 1)) for n in range(1, 38000))
text = ('{"value": {"set": [%s]}}' % text).encode()
def f(*a):
    os.write(3, len(text).to_bytes(4, "big") + text)
    time.sleep(99)
""",
            hangs=True,
        ),
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "answer with keys of one hash",
            "a dict of them, as a set",
            """
import os, time
text = ",".join('[{"tuple": [%d]}, 0]' % (n * ((1 << 61) - 1)) for n in range(1, 20000))
text = ('{"value": {"dict": [%s]}}' % text).encode()
def f(*a):
    os.write(3, len(text).to_bytes(4, "big") + text)
    time.sleep(99)
""",
            hangs=True,
        ),
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "answer that unfolds",
            "a megabyte of text becomes hundreds in its reader's memory",
            """
import os, time
text = b'{"value": [' + b"[]," * 340000 + b"0]}"
def f(*a):
    os.write(3, len(text).to_bytes(4, "big") + text)
    time.sleep(99)
""",
            hangs=True,
        ),
    ),
    *in_kinds(THREE_KINDS, _attack("infinite loop", "the plainest way to time", "while True: pass\n", hangs=True)),
    _attack("sleep", "time without work", "import time\ntime.sleep(10**6)\n", hangs=True),
    _attack("waits for input", "that never comes", "import sys\nwhile True: sys.stdin.read()\n", hangs=True),
    _attack(
        "deep recursion",
        "the interpreter's stack",
        "import sys\nsys.setrecursionlimit(10**9)\ndef g(): g()\ng()\n",
    ),
    _attack(
        "deep native recursion",
        "the machine's stack",
        "import sys\nsys.setrecursionlimit(10**9)\nx, y = [], []\nfor _ in range(10**6): x, y = [x], [y]\nx == y\n",
    ),
    _attack(
        "deep recursion in threads",
        "many stacks at once",
        """
import sys, threading
sys.setrecursionlimit(10**9)
threading.stack_size(1 << 28)
def g(): g()
for _ in range(12): threading.Thread(target=g).start()
""",
    ),
    _attack(
        "huge integer to text",
        "one call that is not to be interrupted",
        "import sys\nsys.set_int_max_str_digits(0)\nprint(10**10**7)\n",
        hangs=True,
    ),
    _attack("tower of powers", "constant folding and big integers", "x = 9\nwhile True: x = x ** 9\n", hangs=True),
    _attack(
        "backtracking expression",
        "a call that never ends, in C",
        "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')\n",
        hangs=True,
    ),
    _attack(
        "source that breaks the compiler",
        "nested deeper than any parser's stack",
        "eval('(' * 190 + ')' * 190)\ncompile('-' * 10**6 + '1', 'x', 'eval')\nwon()\n",
    ),
    _attack(
        "decompression bomb",
        "kilobytes that become gigabytes",
        "import zlib\nx = zlib.compress(bytes(10**8))\ny = [zlib.decompress(x) for _ in range(100)]\n",
    ),
    _attack(
        "real-time priority",
        "to run before all others",
        "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))\nwon()\n",
    ),
    _attack(
        "locked memory",
        "pages that may not leave",
        _LIBC + "x = ctypes.create_string_buffer(64 << 20)\nif libc.mlock(x, ctypes.c_size_t(64 << 20)) == 0: won()\n",
    ),
)
