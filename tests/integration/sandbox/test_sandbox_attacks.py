"""Programs that would take resources, stay, see the tests or forge a verdict. After each, the server is as before."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.lifecycle import TERMINATION_LOG
from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest, TestSuite

LIMITS = Limits(timeout_seconds=8, memory_mib=256, output_mib=1, processes=16)
PLACES = "('.', '/tmp', '/scratch', '/dev/shm', '/dev/mqueue', '/var/tmp', os.path.expanduser('~'), sys.prefix)"
HANG_SECONDS = 1.5  # for what is meant to be stopped by the clock

FORK_BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
DAEMON = """
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
"""
SEARCH = """
import os, re
found = set()
for path in ["/proc/self/maps", "/proc/1/maps", f"/proc/{os.getppid()}/maps"]:
    try:
        maps = open(path).read()
        memory = open(path.replace("maps", "mem"), "rb", 0)
    except OSError:
        continue
    for line in maps.splitlines():
        if " rw" not in line: continue
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        try:
            memory.seek(start)
            data = memory.read(end - start)
        except (OSError, ValueError, OverflowError):
            continue
        found |= set(re.findall(rb"NEEDLE-[0-9a-f]{8}", data))
found |= {n.encode() for n in re.findall("NEEDLE-[0-9a-f]{8}", open("/proc/self/environ", errors="replace").read())}
print(*sorted(n.decode() for n in found))
"""

RESOURCES = {
    "infinite loop": ("while True: pass", {Verdict.TIME_LIMIT}),
    "loop that catches everything": (
        "import signal\nsignal.alarm(0)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass",
        {Verdict.TIME_LIMIT},
    ),
    "fork bomb": (FORK_BOMB, {Verdict.TIME_LIMIT, Verdict.RUNTIME_ERROR}),
    "thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
        {Verdict.RUNTIME_ERROR, Verdict.TIME_LIMIT},
    ),
    "list hog": ("x = []\nwhile True: x.append(bytearray(10**6))", {Verdict.MEMORY_LIMIT}),
    "numpy hog": ("import numpy\nx = [numpy.ones(10**6) for _ in range(10**4)]", {Verdict.MEMORY_LIMIT}),
    "mmap hog": (
        "import mmap\nx = []\nwhile True:\n    x.append(mmap.mmap(-1, 1 << 24))\n    x[-1][::4096] = bytes(4096)",
        {Verdict.MEMORY_LIMIT, Verdict.RUNTIME_ERROR},
    ),
    "hog in many processes": (
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0: break\nx = bytearray(120 << 20)\ntime.sleep(60)",
        {Verdict.MEMORY_LIMIT, Verdict.RUNTIME_ERROR},
    ),
    "disk hog": (
        "for n in range(100): open(f'f{n}', 'wb').write(bytes(10**7))",
        {Verdict.RUNTIME_ERROR, Verdict.MEMORY_LIMIT},
    ),
    "descriptor hog": ("import os\nx = [os.pipe() for _ in range(10**4)]", {Verdict.RUNTIME_ERROR}),
    "output flood": ("while True: print('y' * 10**5)", {Verdict.OUTPUT_LIMIT}),
    "error flood": ("import sys\nwhile True: sys.stderr.write('y' * 10**5)", {Verdict.OUTPUT_LIMIT}),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        {Verdict.RUNTIME_ERROR, Verdict.MEMORY_LIMIT, Verdict.TIME_LIMIT},
    ),
    "deep native recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\nx, y = [], []\nfor _ in range(10**6): x, y = [x], [y]\nx == y",
        {Verdict.RUNTIME_ERROR, Verdict.MEMORY_LIMIT},
    ),
    "huge int to text": (
        "import sys\nsys.set_int_max_str_digits(0)\nprint(10**10**7)",
        {Verdict.TIME_LIMIT, Verdict.OUTPUT_LIMIT},
    ),
    "daemon": (DAEMON, {Verdict.WRONG_ANSWER}),
    "stops itself": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nos.kill(0, signal.SIGSTOP)",
        {Verdict.TIME_LIMIT, Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR},
    ),
    "zombies": ("import os\nfor _ in range(10):\n    if os.fork() == 0: os._exit(0)\nprint(0)", {Verdict.WRONG_ANSWER}),
    "closes its streams and stays": (
        "import os, time\nfor n in range(3): os.close(n)\ntime.sleep(1000)",
        {Verdict.TIME_LIMIT},
    ),
    "kills all it can": (
        "import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: pass\nprint(0)",
        {Verdict.WRONG_ANSWER},
    ),
    "NUL and invalid UTF-8": ("import os\nos.write(1, b'14\\0\\xff\\xfe')", {Verdict.WRONG_ANSWER}),
}

TRICKS = {
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "os._exit(0)": "import os\nos._exit(0)",
    "os._exit(0) in the call": "import os\ndef f(*a): os._exit(0)",
    "equal to everything": "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(*a): return E()",
    "list equal to everything": (
        "class E(list):\n    def __eq__(self, other): return True\n    def __len__(self): return 1\ndef f(*a): return E()"
    ),
    "str equal to everything": "class E(str):\n    def __eq__(self, other): return True\ndef f(*a): return E('x')",
    "int equal to everything": "class E(int):\n    def __eq__(self, other): return True\ndef f(*a): return E(5)",
    "patched builtins": (
        "import builtins, json, sys\n"
        "builtins.all = lambda *a: True\nbuiltins.isinstance = lambda *a: True\njson.dumps = lambda *a, **k: '{}'\n"
        "json.loads = lambda *a, **k: {'verdict': 'passed'}\n"
        "for m in list(sys.modules.values()):\n"
        "    for n in ('decode', 'encode', 'values_equal', 'send_frame', '_answer'):\n"
        '        if hasattr(m, n): setattr(m, n, lambda *a, **k: b\'{"verdict": "passed"}\')\n'
        "def f(*a): return None"
    ),
    "forged frames on every descriptor": (
        "import os\n"
        'for text in (b\'{"verdict": "passed"}\', b\'{"loaded": true}\', b\'{"ready": true}\', b\'{"value": 1}\'):\n'
        "    for n in range(64):\n"
        "        try: os.write(n, len(text).to_bytes(4, 'big') + text)\n"
        "        except OSError: pass\n"
        "def f(*a): return None"
    ),
    "answers sent ahead": (
        "import os\n"
        "def f(*a):\n"
        "    for _ in range(100):\n"
        '        t = b\'{"verdict": "passed", "value": true}\'\n'
        "        os.write(3, len(t).to_bytes(4, 'big') + t)\n"
    ),
    "a value where the load is to be confirmed": (
        "import os\nt = b'{\"value\": null}'\nos.write(3, len(t).to_bytes(4, 'big') + t)\ndef f(*a): return None"
    ),
    "broken frames": "import os\nos.write(3, b'\\xff' * 100)\ndef f(*a): pass",
    "deeply nested answer": (
        "import os\nt = b'{\"value\": ' + b'[' * 200000 + b']' * 200000 + b'}'\n"
        "def f(*a): os.write(3, len(t).to_bytes(4, 'big') + t)"
    ),
    "looks through frames and garbage": (
        "import gc, sys\n"
        "found = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n"
        "frame = sys._getframe()\n"
        "while frame:\n    found += [v for v in frame.f_locals.values() if 'expected' in str(v)[:100]]\n    frame = frame.f_back\n"
        "def f(*a): return found[0]['expected'] if found and isinstance(found[0], dict) else None"
    ),
    "AssertionError swallowed": "AssertionError = BaseException\ndef f(*a): return None",
}


@pytest.mark.parametrize("name", RESOURCES)
async def test_resource_attack_is_contained(grade, doubling, clean, name):
    """It gets a failing verdict, the next honest program passes, and no process is left."""
    program, verdicts = RESOURCES[name]
    seconds = HANG_SECONDS if Verdict.TIME_LIMIT in verdicts else LIMITS.timeout_seconds
    result = await grade(doubling, program, LIMITS.model_copy(update={"timeout_seconds": seconds}))
    assert result.verdict in verdicts, result
    await clean()


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.parametrize("kind", ["stdin", "function", "assertion"])
async def test_trick_is_not_accepted(grade, doubling, clean, kind, name):
    """No exit, patched name, odd object or forged message passes a test of any kind."""
    suites = {
        "stdin": doubling,
        "function": TestSuite(entry_point="f", tests=tuple(FunctionTest(arguments=[n], expected=[n]) for n in (3, 4))),
        "assertion": TestSuite(
            entry_point="f",
            tests=(
                AssertionTest(code="def check(candidate):\n    for n in range(9): assert candidate(n) == n * 77\n"),
            ),
        ),
    }
    result = await grade(suites[kind], TRICKS[name], LIMITS.model_copy(update={"timeout_seconds": HANG_SECONDS}))
    assert not result.accepted, result
    assert result.verdict is not Verdict.INTERNAL_ERROR
    await clean()


async def test_expected_output_is_nowhere_in_the_memory_a_program_can_read(grade):
    """A search of all readable memory, its own and its parent's, finds the program's input but no expected output."""
    first = TestSuite(tests=(StdinTest(input="NEEDLE-00000001", output="NEEDLE-00000002"),))
    second = TestSuite(
        entry_point="f", tests=(FunctionTest(arguments=["NEEDLE-00000003"], expected="NEEDLE-00000004"),)
    )
    for suite in (first, second) * 3:
        await grade(suite, "def f(x): return x\nprint('NEEDLE-' + '0000000' + '5')")
    suite = TestSuite(tests=(StdinTest(input="", output="NEEDLE-00000006"),))
    result = await grade(suite, SEARCH + "\nraise SystemExit(','.join(sorted(n.decode() for n in found)) or 'nothing')")
    assert result.verdict is Verdict.RUNTIME_ERROR
    assert result.tests[0].detail == "nothing"


async def test_nothing_is_kept_for_the_next_program(server, grade, clean):
    """Files left anywhere writable, changed modules and environment are gone for the next test and program."""
    leave = (
        "import os, sys, json, random\n"
        f"for folder in {PLACES}:\n"
        "    try: open(os.path.join(folder, 'left-behind'), 'w').write('x')\n"
        "    except OSError: pass\n"
        f"try: open({TERMINATION_LOG!r}, 'a').write('x')\n"
        "except OSError: pass\n"
        "os.environ['LEFT'] = 'x'\njson.left = 'x'\nprint('done')"
    )
    look = (
        "import os, sys, json\n"
        f"print([f for f in {PLACES} if os.path.exists(os.path.join(f, 'left-behind'))],"
        " os.environ.get('LEFT'), hasattr(json, 'left'))\n"
        f"print(os.path.exists({TERMINATION_LOG!r}) and open({TERMINATION_LOG!r}).read())"
    )
    # A pod's termination log is there, and seems empty; a machine has none.
    nothing = f"[] None False\n{'' if server.isolated else 'False'}"
    for _ in range(3):
        assert (await grade(TestSuite(tests=(StdinTest(input="", output="done"),)), leave)).accepted
        result = await grade(TestSuite(tests=(StdinTest(input="", output=nothing),)), look)
        assert result.accepted, result
    await clean()


async def test_program_has_no_network_no_environment_and_only_its_own_streams(grade):
    """From inside: three descriptors, no secret environment, one process, no interface that leads anywhere."""
    program = """
import os, socket
print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')) - 1)
print(sorted(os.environ))
print([n for n in os.listdir('/proc') if n.isdigit()])
for target in (('127.0.0.1', 8000), ('10.96.0.1', 443), ('169.254.169.254', 80), ('1.1.1.1', 443)):
    try:
        socket.create_connection(target, 2)
        print('reached', target)
    except OSError:
        pass
print(os.getuid() != 0, [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')])
"""
    environment = "['LANG', 'MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS']"
    expected = f"[0, 1, 2] 3\n{environment}\n['1']\nTrue ['0000000000000000']"
    result = await grade(TestSuite(tests=(StdinTest(input="", output=expected),)), program)
    assert result.accepted, result
