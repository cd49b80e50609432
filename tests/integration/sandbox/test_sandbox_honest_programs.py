"""Programs as people write them, each by another way in and out: every one doubles its number and is accepted."""

from __future__ import annotations

import pytest

from deepcoder_api.grading import Limits
from deepcoder_api.problems import StdinTest, TestSuite

FAST_IO = """
import os, sys
from io import BytesIO, IOBase
class FastIO(IOBase):
    newlines = 0
    def __init__(self, file):
        self._fd = file.fileno()
        self.buffer = BytesIO()
        self.writable = "x" in file.mode or "r" not in file.mode
        self.write = self.buffer.write if self.writable else None
    def readline(self):
        while self.newlines == 0:
            b = os.read(self._fd, max(os.fstat(self._fd).st_size, 8192))
            self.newlines = b.count(b"\\n") + (not b)
            ptr = self.buffer.tell()
            self.buffer.seek(0, 2), self.buffer.write(b), self.buffer.seek(ptr)
        self.newlines -= 1
        return self.buffer.readline()
    def flush(self):
        if self.writable:
            os.write(self._fd, self.buffer.getvalue())
            self.buffer.truncate(0), self.buffer.seek(0)
class IOWrapper(IOBase):
    def __init__(self, file):
        self.buffer = FastIO(file)
        self.flush = self.buffer.flush
        self.writable = self.buffer.writable
        self.write = lambda s: self.buffer.write(s.encode("ascii"))
        self.readline = lambda: self.buffer.readline().decode("ascii")
sys.stdin, sys.stdout = IOWrapper(sys.stdin), IOWrapper(sys.stdout)
input = lambda: sys.stdin.readline().rstrip("\\r\\n")
print(2 * int(input()))
"""
DOUBLINGS = {
    "lines of stdin": "import sys\nfor line in sys.stdin: print(2 * int(line))",
    "all of stdin": "import sys\nprint(sum(map(int, sys.stdin.read().split())) * 2)",
    "bytes of stdin": "import sys\nn, = map(int, sys.stdin.buffer.readline().split())\nsys.stdout.buffer.write(b'%d' % (2 * n))",
    "open(0)": "print(int(open(0).read()) * 2)",
    "/dev/stdin and /dev/stdout": "n = int(open('/dev/stdin').read())\nopen('/dev/stdout', 'w').write(str(2 * n))",
    "descriptors": "import os\nn = int(os.read(0, 100))\nos.write(1, str(2 * n).encode())",
    "input until EOFError": "n = 0\ntry:\n    while True: n += int(input())\nexcept EOFError: print(2 * n)",
    "main": "def main():\n    print(2 * int(input()), '  ')\n    print()\nif __name__ == '__main__': main()",
    "SystemExit": "print(2 * int(input()))\nraise SystemExit",
    "os._exit after a flush": "import os, sys\nprint(2 * int(input()))\nsys.stdout.flush()\nos._exit(0)",
    "fast input and output": FAST_IO,
    "stdout left replaced": "import io, sys\nout = sys.stdout\nsys.stdout = io.StringIO()\nout.write(str(2 * int(input())))",
    "stdout without closed": (
        "import sys\nclass Out:\n    def __init__(self, to): self.to, self.kept = to, []\n"
        "    def write(self, text): self.kept.append(text)\n"
        "    def flush(self): self.to.write(''.join(self.kept)); self.kept = []; self.to.flush()\n"
        "sys.stdout = Out(sys.stdout)\nprint(2 * int(input()))"
    ),
    "a stream of its own, never closed": "out = open(1, 'w')\nout.write(str(2 * int(input())))",
    "__del__": "class A:\n    def __del__(self): print(2 * n)\nn = int(input())\na = A()\ndel a",
    "atexit": "import atexit\nn = int(input())\natexit.register(lambda: print(2 * n))",
    "a thread that outlives main": "import threading\nn = int(input())\nthreading.Thread(target=lambda: print(2 * n)).start()",
    "a thread with a large stack": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 29)\n"
        "def deep(n): return n and 1 + deep(n - 1)\ndef main(): print(deep(20000) - 20000 + 2 * int(input()))\n"
        "t = threading.Thread(target=main)\nt.start()\nt.join()"
    ),
    "recursion up to the default limit": "def f(n): return n and 1 + f(n - 1)\nprint(f(995) - 995 + 2 * int(input()))",
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return n and 1 + f(n - 1)\n"
        "print(f(10000) - 10000 + 2 * int(input()))"
    ),
    "native recursion": (
        "import sys, functools\nsys.setrecursionlimit(20000)\n@functools.lru_cache(None)\n"
        "def f(n): return n and 1 + f(n - 1)\nprint(f(9000) - 9000 + 2 * int(input()))"
    ),
    "its own files": "open('a.txt', 'w').write(input())\nprint(2 * int(open('a.txt').read()))",
    "temporary files": (
        "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    f.write(input())\n    f.seek(0)\n    print(2 * int(f.read()))"
    ),
    "subprocess": (
        "import subprocess, sys\nprint(2 * int(subprocess.run([sys.executable, '-c', 'print(input())'],"
        " input=input(), capture_output=True, text=True).stdout))"
    ),
    "multiprocessing": (
        "import multiprocessing\ndef double(n): return 2 * n\n"
        "if __name__ == '__main__':\n    with multiprocessing.Pool(2) as pool: print(*pool.map(double, [int(input())]))"
    ),
    "asyncio": "import asyncio\nasync def main(): print(2 * int(await asyncio.to_thread(input)))\nasyncio.run(main())",
    "numpy": "import numpy\nprint(numpy.array([int(input())]).sum() * 2)",
    "dataclasses and typing": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import List\n"
        "@dataclass\nclass A:\n    n: int\n    m: List[int] = None\nprint(2 * A(int(input())).n)"
    ),
    "pickle of its own class": "import pickle\nclass A: pass\na = A()\na.n = int(input())\nprint(2 * pickle.loads(pickle.dumps(a)).n)",
    "text that is not ASCII": "print('ß→😀'.encode().decode()[:0] + str(2 * int(input())))",
    "200 MiB": "x = bytearray(200 << 20)\nprint(2 * int(input()))",
    "large integers": "import sys\nn = int(input())\nprint(2 * n * 10**4000 // 10**4000)",
}


@pytest.mark.parametrize("name", DOUBLINGS)
async def test_honest_program_is_accepted(grade, doubling, name):
    """What `python program.py` would get right, the grader accepts."""
    result = await grade(doubling, DOUBLINGS[name])
    assert result.accepted, result


async def test_large_input_and_output_pass(grade):
    """Megabytes of input and output go through the pipes whole."""
    text = "\n".join(str(n) for n in range(100_000))
    suite = TestSuite(tests=(StdinTest(input=text, output=text),))
    result = await grade(suite, "import sys\nsys.stdout.write(sys.stdin.read())", Limits(output_mib=4))
    assert result.accepted, result


async def test_unread_input_does_no_harm(grade):
    """A program may leave megabytes of its input unread."""
    suite = TestSuite(tests=(StdinTest(input="7\n" * 1_000_000, output="7"),))
    result = await grade(suite, "print(input())")
    assert result.accepted, result


async def test_random_numbers_differ_from_run_to_run(grade):
    """A fork of the warm process does not repeat its random numbers."""
    suite = TestSuite(tests=(StdinTest(input="", output=""),))
    program = "import random, sys\nsys.exit(str(random.random()))"
    details = {(await grade(suite, program)).tests[0].detail for _ in range(4)}
    assert len(details) == 4
