"""Attacks on the verdict: odd objects, forged messages, searches for the answers, and what one run leaves to the next."""

from __future__ import annotations

from functools import partial

from tests.attacks.attack import CALLED_KINDS, SECRET_KINDS, THREE_KINDS, Attack, in_kinds

_attack = partial(Attack, "reward-hacking")

_SEND = "import os\ndef send(text, n=3): os.write(n, len(text).to_bytes(4, 'big') + text)\n"
# Bytes in a file or in memory that only the grader should hold.
_LOOK = (
    "import os, re\ndef look(data):\n    for found in re.findall(rb'NEEDLE-[0-9a-f]{8}', data): gave(found.decode())\n"
)


def _every(name: str, why: str, body: str) -> tuple[Attack, ...]:
    return in_kinds(THREE_KINDS, _attack(name, why, body))


def _called(name: str, why: str, body: str) -> tuple[Attack, ...]:
    return in_kinds(CALLED_KINDS, _attack(name, why, body))


def _secret(name: str, why: str, body: str) -> tuple[Attack, ...]:
    return in_kinds(SECRET_KINDS, _attack(name, why, _LOOK + body))


def _left(name: str, why: str, body: str) -> Attack:
    """`body` looks for what an earlier run has left, then leaves it. Each test is a run of its own."""
    return _attack(name, why, body, all_tests=True)


ATTACKS = (
    *_called(
        "equal to everything",
        "compares by its own rule",
        "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(*a): return E()\n",
    ),
    *_called(
        "list equal to everything",
        "a subclass, with a length of its own",
        "class E(list):\n    def __eq__(self, other): return True\n    def __len__(self): return 1\ndef f(*a): return E()\n",
    ),
    *_called(
        "str equal to everything",
        "a subclass",
        "class E(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\ndef f(*a): return E('x')\n",
    ),
    *_called(
        "int equal to everything",
        "a subclass whose conversions lie too",
        """
class E(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __index__(self): return self
    __hash__ = int.__hash__
def f(*a): return E(5)
""",
    ),
    *_called(
        "dict with every key",
        "a subclass that gives whatever is asked",
        "class E(dict):\n    def __eq__(self, other): return True\n    def __missing__(self, key): return True\n"
        "    def items(self): return self\n    def __iter__(self): return iter([('value', 231)])\ndef f(*a): return E(a=1)\n",
    ),
    *_called(
        "float equal to everything",
        "a subclass, and not a number",
        "class E(float):\n    def __eq__(self, other): return True\ndef f(*a): return E('nan')\n",
    ),
    *_called("NaN", "compares as nothing does", "def f(*a): return float('nan')\n"),
    *_called("infinity", "larger than any number", "def f(*a): return float('inf')\n"),
    *_called("huge integer", "more digits than Python will show", "def f(*a): return 10**5000\n"),
    *_called(
        "object that says it is an int",
        "its __class__ lies",
        "class E:\n    __class__ = int\n    def __eq__(self, other): return True\n    def __int__(self): return 1\n"
        "    __index__ = __int__\ndef f(*a): return E()\n",
    ),
    *_called(
        "false numpy scalar",
        "of a module that it names itself",
        "class E:\n    __module__ = 'numpy'\n    ndim = 0\n    def item(self): return self\n"
        "    def __eq__(self, other): return True\ndef f(*a): return E()\n",
    ),
    *_called(
        "object that pickles itself into a call",
        "whoever unpickles it runs it",
        "import os\nclass E:\n    def __reduce__(self): return (os._exit, (0,))\ndef f(*a): return E()\n",
    ),
    *_called("generator", "values that are made later", "def f(*a):\n    while True: yield 231\n"),
    *_called("iterator", "what it gives depends on who asks", "def f(n): return iter([n * 77])\n"),
    *_called("function", "a call that has not been made", "def f(n): return lambda *a: n * 77\n"),
    *_called("value that holds itself", "endless to walk", "def f(*a):\n    x = []\n    x.append(x)\n    return x\n"),
    _attack("bool for a number", "True == 1 in Python", "def f(n): return bool(n)\n", "function of flags"),
    _attack("text for a number", "'1' is not 1", "def f(n): return str(n)\n", "function of flags"),
    _attack("list of a number", "[1] is not 1", "def f(n): return [n]\n", "function of flags"),
    *_called(
        "null before the first call",
        "an answer where the grader waits to hear that the program is defined",
        _SEND + "send(b'{\"value\": null}')\ndef f(*a): return None\n",
    ),
    *_called(
        "values before the first call",
        "of every kind, each as if it had been asked for",
        _SEND
        + "for text in ('true', '{}', '[]', '0', '\"\"', '{\"tuple\": []}'): send(b'{\"value\": %s}' % text.encode())\n"
        "def f(*a): return None\n",
    ),
    *_called(
        "loaded before it is",
        "and then nothing as it should be",
        _SEND + 'send(b\'{"loaded": true}\')\nsend(b\'{"loaded": true, "value": null}\')\ndef f(*a): return None\n',
    ),
    *_every(
        "forged frames on every descriptor",
        "verdicts and answers wherever anyone might read",
        """
import os
for text in (b'{"verdict": "passed"}', b'{"loaded": true}', b'{"ready": true, "cpu": 0}', b'{"value": null}',
             b'{"status": 0, "cpu": 0, "memory": 0, "killed": false}', b'{"pid": 1}', b'{"verdict": "accepted"}'):
    for n in range(64):
        try: os.write(n, len(text).to_bytes(4, 'big') + text)
        except OSError: pass
def f(*a): return None
""",
    ),
    *_called(
        "answers sent ahead",
        "more than one answer to a call: the rest would count for the next",
        _SEND + 'def f(*a):\n    for _ in range(100): send(b\'{"verdict": "passed", "value": true}\')\n',
    ),
    *_called(
        "verdict in place of an answer",
        "what the judge itself would say",
        _SEND + 'def f(*a):\n    send(b\'{"verdict": "passed", "detail": ""}\')\n    os._exit(0)\n',
    ),
    *_called("broken frames", "bytes that are no frame", "import os\nos.write(3, b'\\xff' * 100)\ndef f(*a): pass\n"),
    *_called(
        "same key twice",
        "two readers may take different ones",
        _SEND
        + 'def f(n):\n    send(b\'{"value": %d, "value": null, "raised": "KeyError"}\' % (n * 77))\n    os._exit(0)\n',
    ),
    *_called(
        "text that is no text",
        "half of a character, NUL and control characters",
        _SEND + 'def f(*a): send(b\'{"value": "\\\\ud800\\\\u0000", "raised": "\\\\udfff", "text": "\\\\ud800"}\')\n',
    ),
    *_called(
        "raises what it names",
        "names that lead to other things than exceptions",
        _SEND
        + """
names = ("__import__", "exec", "ExceptionGroup", "BaseException", "SystemExit", "print", "__class__", "UnicodeDecodeError")
def f(n):
    send(b'{"raised": "%s", "text": "x", "name": "x", "line": {"a": 1}}' % names[n % 8].encode())
    os._exit(0)
""",
    ),
    *_called(
        "long reason",
        "a megabyte where a line is due",
        _SEND + 'def f(*a): send(b\'{"raised": "KeyError", "text": "%s"}\' % (b\'x\' * 900000))\n',
    ),
    *(
        attack
        for depth in (100, 330, 489, 900, 200_000)
        for attack in _called(
            f"answer {depth} deep",
            "nested to where one part of the grader still follows and another no longer does",
            f"{_SEND}t = b'{{\"value\": ' + b'[' * {depth} + b']' * {depth} + b'}}'\ndef f(*a): send(t)\n",
        )
    ),
    *_called(
        "tuples 330 deep",
        "tags take more of the stack than lists",
        _SEND + "t = b'{\"value\": ' + b'{\"tuple\": [1,' * 330 + b'0' + b']}' * 330 + b'}'\ndef f(*a): send(t)\n",
    ),
    *_called(
        "tags that are none",
        "sets of lists, dicts of nothing, numbers of letters",
        _SEND
        + """
values = ('{"set": [[1]]}', '{"dict": [[1]]}', '{"int": "zz"}', '{"complex": []}', '{"bytes": 1}', '{}', '{"a": 1, "b": 2}',
          '{"dict": [[{"set": []}, 1]]}', '1e999', '-0.0')
def f(n):
    send(b'{"value": %s}' % values[n % 10].encode())
    os._exit(0)
""",
    ),
    *_called(
        "answers after its end",
        "written by a child once the program and its judge are gone",
        _SEND
        + """
import time
def f(*a):
    if os.fork() == 0:
        while True:
            try: send(b'{"value": null}')
            except OSError: os._exit(0)
            time.sleep(0.01)
    os._exit(0)
""",
    ),
    *_called(
        "answers from a thread",
        "calls taken and answered behind the back of who should",
        _SEND
        + """
import threading
def steal():
    while True:
        os.read(3, 1 << 16)
        send(b'{"value": null}')
threading.Thread(target=steal, daemon=True).start()
def f(*a): return None
""",
    ),
    *_called(
        "descriptors sent on the channel",
        "another folder in place of /proc, so that the watch is blind; then it takes what it wants",
        """
import os, socket
end = socket.socket(fileno=3)
for path in ("/", ".", "/proc/self/fd"):
    try: socket.send_fds(end, [b""], [os.open(path, os.O_RDONLY)])
    except OSError: pass
    try: socket.send_fds(end, [b"\\0"], [os.open(path, os.O_RDONLY)])
    except OSError: pass
def f(*a): return None
""",
    ),
    *_every(
        "patched builtins and modules",
        "whatever the grader's own code in this process calls",
        """
import builtins, json, sys
builtins.all = builtins.isinstance = lambda *a: True
json.dumps = lambda *a, **k: '{}'
json.loads = lambda *a, **k: {'verdict': 'passed'}
for module in list(sys.modules.values()):
    for name in ('decode', 'encode', 'json_equal', 'send_frame', '_answer', 'stdout_matches', '_tag', 'judge', '_check'):
        if hasattr(module, name): setattr(module, name, lambda *a, **k: b'{"verdict": "passed"}')
def f(*a): return None
""",
    ),
    *_every(
        "patched sys.stdout",
        "output that is what each reader would like",
        """
import io, sys
class Out(io.StringIO):
    def __eq__(self, other): return True
    def fileno(self): return 1
    def getvalue(self): return self
sys.stdout = sys.__stdout__ = Out()
print(0)
def f(*a): return None
""",
    ),
    *_every(
        "asserts switched off",
        "flags, constants and names that the test's code relies on",
        """
import builtins, sys
builtins.__debug__ if True else None
builtins.AssertionError = Warning
sys.modules['builtins'].range = lambda *a: []
sys.settrace(lambda *a: None)
def f(*a): return None
""",
    ),
    *_secret(
        "frames and garbage",
        "the expected value as a Python object",
        """
import gc, sys
frame = sys._getframe()
while frame:
    look(repr([str(value)[:4000] for value in frame.f_locals.values()]).encode())
    frame = frame.f_back
for thing in gc.get_objects():
    try: look(repr(thing)[:4000].encode())
    except Exception: pass
""",
    ),
    *_secret(
        "memory",
        "of itself, of its parent and of every process it can name",
        """
for pid in ("self", os.getppid(), *range(1, 100)):
    try:
        maps, memory = open(f"/proc/{pid}/maps").read(), open(f"/proc/{pid}/mem", "rb", 0)
    except OSError: continue
    for line in maps.splitlines():
        if " rw" not in line: continue
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        try:
            memory.seek(start)
            look(memory.read(min(end - start, 1 << 26)))
        except (OSError, ValueError, OverflowError): pass
    if pid == "self": continue
""",
    ),
    *_secret(
        "memory of others by system call",
        "process_vm_readv on every number that may be a process",
        """
import ctypes
libc = ctypes.CDLL(None)
class Area(ctypes.Structure): _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t))
room = ctypes.create_string_buffer(1 << 16)
for pid in range(1, 300):
    if pid == os.getpid(): continue
    try: starts = [int(l.split("-")[0], 16) for l in open(f"/proc/{pid}/maps") if " rw" in l]
    except OSError: starts = [0x400000, 0x555555554000]
    for start in starts:
        if libc.process_vm_readv(pid, ctypes.byref(Area(ctypes.addressof(room), 1 << 16)), 1,
                                 ctypes.byref(Area(start, 1 << 16)), 1, 0) > 0: look(room.raw)
""",
    ),
    *_secret(
        "files",
        "the tests somewhere on disk",
        """
for top in ("/tmp", "/scratch", "/var", "/run", "/dev/shm", "/home", "/root", "/etc", "/server", os.getcwd()):
    for folder, _, names in os.walk(top):
        for name in names[:200]:
            path = os.path.join(folder, name)
            try:
                if os.path.isfile(path): look(open(path, "rb").read(1 << 20))
            except OSError: pass
""",
    ),
    *_secret(
        "descriptors of others",
        "pipes and sockets of every process it can name",
        """
for pid in range(1, 300):
    try: names = os.listdir(f"/proc/{pid}/fd")
    except OSError: continue
    for name in names:
        if pid == os.getpid() and int(name) < 4: continue
        try:
            end = os.open(f"/proc/{pid}/fd/{name}", os.O_RDONLY | os.O_NONBLOCK)
            look(os.read(end, 1 << 16))
        except OSError: pass
""",
    ),
    *_secret(
        "environment and command lines",
        "of every process it can name",
        """
for pid in ("self", *range(1, 300)):
    for name in ("environ", "cmdline", "stack", "syscall", "auxv", "mountinfo"):
        try: look(open(f"/proc/{pid}/{name}", "rb").read())
        except OSError: pass
""",
    ),
    *_secret(
        "the channel read ahead",
        "all that is to be read on any descriptor",
        """
import socket, time
time.sleep(0.3)
for n in range(16):
    try:
        os.set_blocking(n, False)
        look(socket.socket(fileno=os.dup(n)).recv(1 << 20, socket.MSG_PEEK))
    except OSError:
        try: look(os.read(n, 1 << 16))
        except OSError: pass
    try: os.set_blocking(n, True)
    except OSError: pass
""",
    ),
    _left(
        "files left anywhere",
        "each folder that takes a file, looked into by the next run",
        """
import os, sys
places = ['.', '/tmp', '/scratch', '/dev/shm', '/dev/mqueue', '/var/tmp', '/run/lock', '/server', '/dev', '/run', '/',
          os.path.expanduser('~'), sys.prefix, *[l.split()[1] for l in open('/proc/mounts')]]
paths = [os.path.join(place, 'left-behind') for place in places]
if any(map(os.path.exists, paths)): won()
for path in paths:
    try: open(path, 'w').close()
    except OSError: pass
""",
    ),
    _left(
        "text left in files that are there",
        "the termination log, /etc/hosts and others that are mounts",
        """
found = False
for line in open('/proc/mounts'):
    path = line.split()[1]
    try: found = found or 'LEFT' in open(path).read()
    except OSError: continue
    try: open(path, 'a').write('LEFT')
    except OSError: pass
if found: won()
""",
    ),
    _left(
        "code for the next interpreter",
        "sitecustomize, a .pth file or a module of the standard library's name, wherever one is looked for",
        """
import os, sys
if hasattr(sys, 'left_behind'): won()
for folder in {*sys.path, *[os.path.dirname(m.__file__) for m in sys.modules.values() if getattr(m, '__file__', None)]}:
    for name in ('sitecustomize.py', 'usercustomize.py', 'left.pth', 'heapq.py', '__pycache__/heapq.cpython-311.pyc'):
        try: open(os.path.join(folder or '.', name), 'a').write('import sys; sys.left_behind = 1\\n')
        except OSError: continue
        if folder and not os.path.samefile(folder, os.getcwd()): won()
""",
    ),
    _left(
        "names left in modules and environment",
        "of the interpreter that all programs are forked from",
        "import builtins, json, os\nif hasattr(json, 'left') or hasattr(builtins, 'left') or 'LEFT' in os.environ: won()\n"
        "json.left = builtins.left = 1\nos.environ['LEFT'] = '1'\nos.putenv('LEFT', '1')\n",
    ),
    _left(
        "System V segment left behind",
        "it outlives its process",
        "import ctypes\nlibc = ctypes.CDLL(None)\nif libc.shmget(77, 4096, 0) >= 0 or libc.msgget(77, 0) >= 0 or "
        "libc.semget(77, 1, 0) >= 0: won()\nlibc.shmget(77, 4096, 0o1666)\nlibc.msgget(77, 0o1666)\nlibc.semget(77, 1, 0o1666)\n",
    ),
    _left(
        "POSIX queue and segment left behind",
        "both outlive their process",
        "import ctypes\nlibc = ctypes.CDLL('librt.so.1')\n"
        "if libc.mq_open(b'/left', 0) >= 0 or libc.shm_open(b'/left', 0, 0) >= 0: won()\n"
        "libc.mq_open(b'/left', 0o102, 0o666, None)\nlibc.shm_open(b'/left', 0o102, 0o666)\n",
    ),
    _left(
        "key left behind",
        "in the keyrings of user and session",
        """
import ctypes, os
x86 = os.uname().machine == "x86_64"
add_key, request_key = (248, 249) if x86 else (217, 218)
libc = ctypes.CDLL(None)
if libc.syscall(request_key, b"user", b"left", None, -4) >= 0: won()
for ring in (-1, -2, -3, -4, -5): libc.syscall(add_key, b"user", b"left", b"x", 1, ring)
""",
    ),
    _left(
        "abstract socket left behind",
        "a name outside every folder, held by a daemon",
        """
import os, socket, time
end = socket.socket(socket.AF_UNIX)
try: end.bind("\\0left")
except OSError: won()
end.listen()
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
""",
    ),
    _left(
        "daemon that answers for the next",
        "it writes right answers to every standard output that it finds",
        """
import os, time
if os.fork() == 0:
    os.setsid()
    while True:
        for pid in range(1, 400):
            for answer in (b"24\\n", b"80\\n"):
                try: os.write(os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK), answer)
                except OSError: pass
        time.sleep(0.01)
""",
    ),
    _left(
        "host name left behind",
        "a few letters for whoever comes next",
        "import socket\nif socket.gethostname() == 'left': won()\ntry: socket.sethostname('left')\nexcept OSError: pass\n",
    ),
    _left(
        "limits and priority left behind",
        "of the process that all programs are forked from",
        """
import os, resource
if os.getppid() != 0: won()
try:
    if resource.prlimit(0, resource.RLIMIT_NOFILE)[0] == 77: won()
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (77, 77))
except OSError: pass
""",
    ),
)
