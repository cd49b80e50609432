"""Attacks on the clock: programs that will not end, that end and stay, or that spend time where none is counted."""

from __future__ import annotations

from functools import partial

from tests.attacks.attack import CALLED_KINDS, THREE_KINDS, Attack, in_kinds

_attack = partial(Attack, "timeout-evasion")

ATTACKS = (
    *in_kinds(
        THREE_KINDS,
        _attack(
            "catches everything",
            "no exception ends it, no alarm is left",
            """
import signal
signal.alarm(0)
signal.setitimer(signal.ITIMER_REAL, 0)
while True:
    try:
        while True: pass
    except BaseException: pass
""",
            hangs=True,
        ),
    ),
    _attack(
        "ignores every signal",
        "a polite request to end is not heard",
        """
import signal, time
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: time.sleep(99)
""",
        hangs=True,
    ),
    _attack(
        "daemon",
        "a session of its own, a double fork, no descriptor of the program's",
        """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        for n in range(256):
            try: os.close(n)
            except OSError: pass
        time.sleep(1000)
    os._exit(0)
""",
    ),
    _attack(
        "daemon that keeps the streams",
        "the program is over, its output is not at its end",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nos._exit(0)\n",
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "daemon that keeps the channel",
            "the program is over, the server still hears it breathe",
            "import os, time\ndef f(*a):\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)\n",
        ),
    ),
    _attack(
        "child whose parent is another's",
        "with CLONE_PARENT it would belong to who started the program, and be reaped by nobody",
        """
import ctypes, os
libc = ctypes.CDLL(None)
for flags in (0x8000 | 17, 0x8000):
    pid = libc.syscall(56 if os.uname().machine == "x86_64" else 220, flags, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid > 0: won()
""",
    ),
    _attack(
        "keeps its parent's death to itself",
        "no signal when the process that started it ends",
        "import ctypes, time\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\ntime.sleep(1000)\n",
        hangs=True,
    ),
    _attack(
        "threads that keep it alive",
        "not daemons: the interpreter waits for them",
        "import threading, time\nfor _ in range(4): threading.Thread(target=time.sleep, args=(1000,)).start()\n",
        hangs=True,
    ),
    _attack(
        "zombies",
        "children that nobody waits for",
        "import os\nfor _ in range(10):\n    if os.fork() == 0: os._exit(0)\nprint(0)\n",
    ),
    _attack(
        "stops itself",
        "a stopped process uses no time",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nos.kill(0, signal.SIGSTOP)\nimport time\ntime.sleep(99)\n",
        hangs=True,
    ),
    _attack(
        "stops its parent",
        "its parent would then never end it",
        """
import os, signal, time
for pid in (os.getppid(), os.getpgid(0), 1):
    try: os.kill(pid, signal.SIGSTOP)
    except OSError: pass
time.sleep(99)
""",
        hangs=True,
    ),
    _attack(
        "stopped children",
        "left behind, deaf to all but one signal",
        """
import os, signal
for _ in range(8):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
""",
    ),
    _attack(
        "hops from process to process",
        "each lives for a moment; none is there when one looks",
        """
import os
while True:
    if (pid := os.fork()) == 0:
        if os.fork() == 0: continue
        os._exit(0)
    os.waitpid(pid, 0)
    if os.getpid() == 1:
        import time
        time.sleep(99)
    os._exit(0)
""",
        hangs=True,
    ),
    _attack(
        "chain of programs",
        "each replaces itself by the next",
        "import os, sys\nopen('n.py', 'w').write(chain := \"import os, sys\\nos.execv(sys.executable, [sys.executable, 'n.py'])\")\n"
        "exec(chain)\n",
        hangs=True,
    ),
    _attack(
        "closes its streams and stays",
        "who waits for the end of output goes on",
        "import os, time\nfor n in range(3): os.close(n)\ntime.sleep(1000)\n",
        hangs=True,
    ),
    _attack(
        "work after the answer",
        "prints, closes its output and works on",
        "import os, sys\nprint(2 * int(input()), flush=True)\nos.close(1)\nos.close(2)\nwhile True: pass\n",
        hangs=True,
    ),
    _attack(
        "work at the end",
        "when the answer is out, at exit",
        "import atexit, time\nprint(2 * int(input()), flush=True)\natexit.register(time.sleep, 1000)\n",
        hangs=True,
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "answers too late",
            "the right value, after the clock",
            "import time\ndef f(n):\n    time.sleep(3)\n    return n * 77\n",
            hangs=True,
        ),
    ),
    *in_kinds(
        CALLED_KINDS,
        _attack(
            "half a frame",
            "its rest never comes",
            "import os, time\ndef f(*a):\n    os.write(3, b'\\0\\0\\0\\x10{\"va')\n    time.sleep(1000)\n",
            hangs=True,
        ),
    ),
    _attack(
        "raises its own CPU limit",
        "the kernel would then end it later",
        """
import resource
before = resource.getrlimit(resource.RLIMIT_CPU)
for limit in ((before[1] + 100, before[1] + 100), (resource.RLIM_INFINITY,) * 2):
    try: resource.setrlimit(resource.RLIMIT_CPU, limit)
    except (OSError, ValueError): continue
    won()
""",
    ),
    _attack(
        "work of children that nobody waits for",
        "their time is added to no parent's; all together are above the limit, the wall clock is not",
        """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        while time.process_time() < 1.5: pass
        os._exit(0)
try: os.wait()
except ChildProcessError: pass
print(2 * int(input()))
""",
        hangs=True,
    ),
    _attack(
        "clock set back",
        "for everybody",
        """
import time
before = time.time()
try: time.clock_settime(time.CLOCK_REALTIME, before - 10**6)
except OSError: pass
if time.time() < before: won()
""",
    ),
)
