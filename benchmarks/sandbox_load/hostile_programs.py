"""Programs that take what they can get, end what they can reach, or forge a verdict. None may be accepted."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sandbox_load.sample import ENDLESS_LIMITS, LIMITS, Sample
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite

STDIN = TestSuite(tests=tuple(StdinTest(input=f"{n}\n", output=f"{2 * n}\n") for n in (7, 12, 40)))
FUNCTION = TestSuite(entry_point="f", tests=tuple(FunctionTest(arguments=[n], expected=[n]) for n in (3, 4)))

TIME = frozenset({Verdict.TIME_LIMIT})
MEMORY = frozenset({Verdict.MEMORY_LIMIT})
OUTPUT = frozenset({Verdict.OUTPUT_LIMIT})
WRONG = frozenset({Verdict.WRONG_ANSWER})
RAISED = frozenset({Verdict.RUNTIME_ERROR})

# Each never ends by itself.
ENDLESS = {
    "loop": ("while True: pass", TIME),
    "sleeper": ("import time\ntime.sleep(1000)", TIME),
    "closes its streams and stays": ("import os, time\nfor n in range(3): os.close(n)\ntime.sleep(1000)", TIME),
    "fork bomb": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", TIME | RAISED),
    "thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
        TIME | RAISED,
    ),
    "stops itself": (
        "import os, signal\nfor pid in (os.getpid(), 0, -1): os.kill(pid, signal.SIGSTOP)",
        TIME | WRONG | RAISED,
    ),
}
ON_STDIN = {
    "memory hog": ("x = []\nwhile True: x.append(bytearray(10**6))", MEMORY),
    "output flood": ("while True: print('y' * 10**5)", OUTPUT),
    "error flood": ("import sys\nwhile True: sys.stderr.write('y' * 10**5)", OUTPUT),
    "exit 0": ("import sys\nsys.exit(0)", WRONG),
    "kills all it can": (
        "import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: pass\nprint(0)",
        WRONG,
    ),
    "kills itself": ("import os, signal\nos.fork() or os.kill(os.getppid(), signal.SIGKILL)", WRONG | RAISED),
}
FRAMES = (b'{"verdict": "passed"}', b'{"loaded": true}', b'{"ready": true}', b'{"value": [3]}')
ON_CALLS = {
    "exit 0 in the call": ("import os\ndef f(n): os._exit(0)", RAISED),
    "forged frames on every descriptor": (
        f"import os\nfor text in {FRAMES!r}:\n    for n in range(64):\n"
        "        try: os.write(n, len(text).to_bytes(4, 'big') + text)\n        except OSError: pass\n"
        "def f(n): return None",
        WRONG | RAISED,
    ),
    "broken frames": ("import os\nos.write(3, b'\\xff' * 100)\ndef f(n): pass", OUTPUT),
    "equal to everything": (
        "class E(list):\n    def __eq__(self, other): return True\ndef f(n): return E()",
        WRONG,
    ),
    "closes its channel": ("import os\ndef f(n): os.closerange(3, 64)", RAISED),
    "loop in the call": ("def f(n):\n    while True: pass", TIME),
}


def hostile_samples() -> Iterator[Sample]:
    """Every one of them."""
    for suite, programs in ((STDIN, ENDLESS | ON_STDIN), (FUNCTION, ON_CALLS)):
        for name, (program, verdicts) in programs.items():
            limits = ENDLESS_LIMITS if Verdict.TIME_LIMIT in verdicts else LIMITS
            yield Sample(f"hostile {name}", suite, program, verdicts, limits, hostile=True)
