"""Which programs may run test after test in one process."""

from __future__ import annotations

import ast

import pytest

from deepcoder_sandbox.shareable import shareable

LEAVE_NOTHING = {
    "input and print": "n = int(input())\nprint(2 * n)",
    "lines of stdin": "import sys\nfor line in sys.stdin: print(line, end='')",
    "bound methods of stdin": "import sys\ninput = sys.stdin.buffer.readline\nprint(int(input()))",
    "replaced streams": "import io, sys\nsys.stdin = io.StringIO(sys.stdin.read())\nprint(input())",
    "recursion limit": "import sys\nsys.setrecursionlimit(10**6)",
    "open(0)": "print(open(0).read())",
    "usual imports": (
        "from collections import defaultdict, deque, Counter\nfrom functools import lru_cache, cmp_to_key\n"
        "from heapq import heappush, heappop\nfrom itertools import *\nfrom math import gcd, inf\n"
        "from typing import List, Optional\nimport bisect, re, string\n"
        "@lru_cache(None)\ndef f(x: List[int]): return Counter(x)"
    ),
    "a class of its own": (
        "class Node:\n    def __init__(self, value):\n        self.value = value\n        self.next = None\n"
        "def link(a, b):\n    a.next = b\n"
    ),
    "a counter beside a class that sets itself": (
        "from collections import Counter\nclass A:\n    def __init__(self): self.c = Counter()"
    ),
    "decimal's context": "from decimal import Decimal, getcontext\ngetcontext().prec = 50",
    "numpy": "import numpy as np\na = np.zeros((3, 3), dtype=np.int64)\na[0] += 1\nprint(np.linalg.det(a))",
    "time": "import time\nstart = time.time()\nwhile time.time() - start < 1: pass",
    "random": "import random\nrandom.seed(1)\nprint(random.randint(1, 6))",
    "exit": "import sys\nif int(input()): sys.exit(0)\nexit()",
}
MAY_LEAVE_SOMETHING = {
    "unknown module": "import threading",
    "file": "open('a.txt', 'w')",
    "file by a variable": "name = 0\nopen(name)",
    "open as a value": "f = open\nf('a.txt', 'w')",
    "open through a module": "import io\nio.open('a', 'w')",
    "descriptor": "import os\nos.dup2(1, 5)",
    "environment": "import os\nos.environ['A'] = 'b'",
    "module as a value": "import sys\ndef f(m): m.maxsize = 1\nf(sys)",
    "module under another name": "import sys\ns = sys\ns.maxsize = 1",
    "module in a container": "import math\nprint([math])",
    "attribute of a module": "import math\nmath.pi = 3",
    "deleted attribute of a module": "import math\ndel math.pi",
    "attribute of an imported class": "from collections import Counter\nCounter.total = 1",
    "attribute of an imported class by another name": "from collections import Counter\nC = Counter\nC.total = 1",
    "attribute of a member of a module": "import fractions\nfractions.Fraction.numerator = 1",
    "a module behind a module": "import dataclasses\ndataclasses.sys.setrecursionlimit(1)",
    "a module imported from a module": "from collections import abc\nabc.Sequence = 1",
    "private names of a module": "import random\nrandom._inst.seed(1)",
    "class of an object": "(1).__class__.__bases__[0].__subclasses__()",
    "class by type": "type(print).x = 1",
    "namespace by name": "globals()['x'] = 1",
    "code as text": "exec('import os')",
    "attribute by name": "import sys\nsetattr(sys, 'maxsize', 1)",
    "attribute by operator": "import operator\noperator.attrgetter('__globals__')(f)",
    "dunder import": "__import__('os')",
    "frame of a generator": "g = (x for x in [1])\ng.gi_frame.f_back",
    "frame of a traceback": "try: 1 / 0\nexcept Exception as e: e.__traceback__.tb_frame",
    "builtins": "__builtins__.print = None",
    "a function's globals": "def f(): pass\nf.__globals__",
    "numpy's error state": "import numpy as np\nnp.seterr(all='ignore')",
    "numpy's random numbers": "import numpy as np\nnp.random.seed(1)",
    "numpy's module as a value": "import numpy as np\nx = np.linalg\nx.norm = 1",
    "numpy's module imported": "from numpy import linalg\nlinalg.norm = 1",
    "relative import": "from . import x",
    "process time, which goes on": "import time\nwhile time.process_time() < 1: pass",
    "metaclass": "class A(metaclass=type): pass",
    "module's name as a parameter": "import sys\ndef f(sys): sys.stdin = 1",
    "star of a module that is no namespace": "from os import *",
}


@pytest.mark.parametrize("name", LEAVE_NOTHING)
def test_usual_programs_are_shareable(name: str) -> None:
    """What solutions of programming contests mostly consist of needs one process for all tests."""
    assert shareable(ast.parse(LEAVE_NOTHING[name]))


@pytest.mark.parametrize("name", MAY_LEAVE_SOMETHING)
def test_what_may_outlive_a_run_is_not_shareable(name: str) -> None:
    """Files, modules, classes of others, ways around names: such a program gets a process for each test."""
    assert not shareable(ast.parse(MAY_LEAVE_SOMETHING[name]))
