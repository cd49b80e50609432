"""Ends that could be taken for success: exits, signals, closed descriptors, patched ends of the interpreter."""

from __future__ import annotations

from functools import partial

from tests.attacks.attack import CALLED_KINDS, THREE_KINDS, Attack, in_kinds

_attack = partial(Attack, "exit-tricks")


def _every(name: str, why: str, body: str) -> tuple[Attack, ...]:
    return in_kinds(THREE_KINDS, _attack(name, why, body))


def _called(name: str, why: str, body: str) -> tuple[Attack, ...]:
    return in_kinds(CALLED_KINDS, _attack(name, why, body))


ATTACKS = (
    *_every("sys.exit(0)", "a good status is no answer", "import sys\nsys.exit(0)\n"),
    *_every("os._exit(0)", "the same, past the interpreter's end", "import os\nos._exit(0)\n"),
    *_every("nothing", "an empty program ends well", "pass\n"),
    *_called("os._exit(0) in the call", "in the middle of an answer", "import os\ndef f(*a): os._exit(0)\n"),
    *_called("sys.exit(0) in the call", "an exception that ends a program", "import sys\ndef f(*a): sys.exit(0)\n"),
    *_every("end at exit", "atexit chooses the status", "import atexit, os\natexit.register(os._exit, 0)\n1 / 0\n"),
    *_every(
        "closed descriptors",
        "no stream and no channel is left",
        "import os\nfor n in range(64):\n    try: os.close(n)\n    except OSError: pass\ndef f(*a): return None\n",
    ),
    *_called("closed channel", "descriptor 3 alone", "import os\nos.close(3)\ndef f(*a): return None\n"),
    *_called(
        "half-closed channel",
        "it reads calls and says that no answer comes",
        "import socket\nsocket.socket(fileno=3).shutdown(socket.SHUT_WR)\ndef f(*a): return None\n",
    ),
    *_called(
        "channel in place of another",
        "descriptor 3 leads to /dev/null or to a socket of its own",
        "import os, socket\na, b = socket.socketpair()\nos.dup2(a.fileno(), 3)\ndef f(*a): return None\n",
    ),
    *_every("abort", "the C library's end", "import os\nos.abort()\n"),
    *_every("kills itself", "SIGKILL, in a child of itself too", "import os\nos.fork()\nos.kill(os.getpid(), 9)\n"),
    *_every(
        "signal without a name",
        "a real-time signal, which Python's own enumeration lacks",
        "import os, time\nos.kill(os.getpid(), 35)\ntime.sleep(0.2)\n",
    ),
    _attack(
        "kills all it can",
        "every process that a signal reaches",
        "import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: pass\nprint(0)\n",
    ),
    _attack("kills its group", "and itself with it", "import os, signal\nos.kill(0, signal.SIGKILL)\n"),
    *_every("segmentation fault", "an end in C", "import ctypes\nctypes.string_at(0)\n"),
    *_every(
        "exit in a thread",
        "while the main one goes on",
        "import os, threading\nthreading.Thread(target=os._exit, args=(0,)).start()\nimport time\ntime.sleep(1)\n",
    ),
    *_every("becomes /bin/true", "a program that always succeeds", "import os\nos.execv('/bin/true', ['true'])\n"),
    *_every(
        "patched excepthook",
        "the end of a failed program is its own",
        "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\nsys.unraisablehook = sys.excepthook\n1 / 0\n",
    ),
    *_every(
        "patched exits",
        "every way to a bad status leads to a good one",
        """
import os, sys, traceback
end = os._exit
os._exit = lambda status: end(0)
sys.exit = traceback.print_exception = lambda *a, **k: end(0)
1 / 0
""",
    ),
    *_every(
        "exit statuses of the sandbox's own",
        "96, 97 and 120 mean something to it",
        "import os\nfor status in (97, 120, 96):\n    if os.fork() == 0: os._exit(status)\nos._exit(97)\n",
    ),
    _attack(
        "output that cannot be flushed",
        "standard output of its own kind",
        "import sys\nclass Out:\n    def write(self, text): pass\n    def flush(self): raise SystemExit(0)\n"
        "sys.stdout = sys.__stdout__ = Out()\nprint(0)\n",
    ),
    _attack(
        "exit from a destructor",
        "when the interpreter clears its names",
        "import os\nclass A:\n    def __del__(self, end=os._exit): end(0)\na = A()\n1 / 0\n",
    ),
    *_called(
        "child answers",
        "the program is over, its child gives wrong values",
        "import os\nif os.fork() != 0: os._exit(0)\ndef f(*a): return None\n",
    ),
    *_called("KeyboardInterrupt", "not an Exception", "def f(*a): raise KeyboardInterrupt\n"),
    *_called("GeneratorExit", "ends generators in silence", "def f(*a): raise GeneratorExit\n"),
    *_called(
        "exception without a text",
        "its text, class and type fail when asked",
        """
class Odd(BaseException):
    def __str__(self): raise self
    __repr__ = __str__
    def __getattribute__(self, name): raise self
def f(*a): raise Odd
""",
    ),
    *in_kinds(
        ("assertion", "assertion in a loop"),
        _attack(
            "StopIteration",
            "ends the test's own loop over map(candidate, …), and with it the test",
            "def f(*a): raise StopIteration\n",
        ),
    ),
    *in_kinds(
        ("assertion", "assertion in a loop"),
        _attack(
            "StopIteration of its own",
            "a subclass, and one from an iterator",
            "class Stop(StopIteration): pass\ndef f(n):\n    if n % 2: next(iter([]))\n    raise Stop\n",
        ),
    ),
    *_called(
        "AssertionError swallowed",
        "names of the test's code",
        "import builtins\nbuiltins.AssertionError = AssertionError = BaseException\ndef f(*a): return None\n",
    ),
)
