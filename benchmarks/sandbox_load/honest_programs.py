"""Programs as a model in training writes them: right, wrong in the answer, raising, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.sandbox_load.sample import Sample
from deepcoder_api.grading import Verdict
from deepcoder_api.problems import FunctionTest, StdinTest, TestSuite

SUM = "n = int(input())\nprint(sum(int(x) for x in input().split()[:n]))"
SUM_WRONG = "n = int(input())\nprint(sum(int(x) for x in input().split()[: n - 1]))"
SUM_RAISES = "n = int(input())\nprint(sum(int(x) for x in input().split()) // (n - n))"
GCD = "import math\na, b = map(int, input().split())\nprint(math.gcd(a, b))"
GCD_WRONG = "a, b = map(int, input().split())\nprint(min(a, b))"
GCD_LATE = "a, b = map(int, input().split())\nwhile b != 1:\n    a, b = b, a % b\nprint(1)"
# Reads in a way that takes a process for each test.
WORDS = (
    "import sys\nfor word in sorted(sys.stdin.read().split()):\n    sys.stdout.write(word + '\\n')\nsys.stdout.flush()"
)
WORDS_WRONG = "import sys\nfor word in sorted(set(sys.stdin.read().split()), reverse=True):\n    print(word)"
PRIMES = """
def primes(n):
    sieve = bytearray([1]) * (n + 1)
    for i in range(2, n + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, n + 1, i)))
    return [i for i in range(2, n + 1) if sieve[i]]
"""
PRIMES_WRONG = "def primes(n): return [i for i in range(2, n) if all(i % k for k in range(2, i))]"
PRIMES_RAISES = "def primes(n): return [i for i in range(n) if n % (i - 2)]"
MERGE = """
class Solution:
    def merge(self, spans):
        merged = []
        for start, end in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return merged
"""
MERGE_WRONG = (
    "class Solution:\n    def merge(self, spans): return [[min(s for s, _ in spans), max(e for _, e in spans)]]"
)
MERGE_UNDEFINED = "class Answer:\n    def merge(self, spans): return spans"


@dataclass(frozen=True)
class _Problem:
    """A suite and programs for it, each with its verdict."""

    name: str
    suite: TestSuite
    programs: dict[str, tuple[str, Verdict]]


def honest_samples(number: int, chance: random.Random) -> Iterator[Sample]:
    """The programs for one problem of each kind; `number` makes their names differ from other rounds'."""
    for problem in (_sums(chance), _divisors(chance), _words(chance), _primes(chance), _spans(chance)):
        for kind, (program, verdict) in problem.programs.items():
            text = f"{program}\n# {number}\n" if program else ""
            yield Sample(f"{problem.name} {number} {kind}", problem.suite, text, frozenset({verdict}))


def _sums(chance: random.Random) -> _Problem:
    numbers = [chance.randint(1, 10**6) for _ in range(chance.randint(3, 200))]
    text = f"{len(numbers)}\n{' '.join(map(str, numbers))}\n"
    suite = TestSuite(tests=(StdinTest(input=text, output=f"{sum(numbers)}\n"),))
    return _Problem(
        "sum",
        suite,
        {
            "right": (SUM, Verdict.ACCEPTED),
            "wrong": (SUM_WRONG, Verdict.WRONG_ANSWER),
            "raising": (SUM_RAISES, Verdict.RUNTIME_ERROR),
            "empty": ("", Verdict.NO_PROGRAM),
        },
    )


def _divisors(chance: random.Random) -> _Problem:
    """Ten tests, the last of which alone finds out who answers 1 to all: its numbers have a common divisor."""
    pairs = [(n := chance.randint(5, 10**9), n + 1) for _ in range(9)]
    common = chance.randint(3, 99)
    pairs.append((common * 5, common * 7))
    tests = tuple(
        StdinTest(input=f"{a} {b}\n", output=f"{answer}\n")
        for (a, b), answer in zip(pairs, [1] * 9 + [common], strict=True)
    )
    return _Problem(
        "divisor",
        TestSuite(tests=tests),
        {
            "right": (GCD, Verdict.ACCEPTED),
            "wrong": (GCD_WRONG, Verdict.WRONG_ANSWER),
            "raising": (GCD_LATE, Verdict.RUNTIME_ERROR),
        },
    )


def _words(chance: random.Random) -> _Problem:
    def test() -> StdinTest:
        words = ["".join(chance.choices("abcdef", k=6)) for _ in range(20)]
        return StdinTest(input=" ".join(words), output="".join(f"{word}\n" for word in sorted(words)))

    suite = TestSuite(tests=tuple(test() for _ in range(10)))
    return _Problem("words", suite, {"right": (WORDS, Verdict.ACCEPTED), "wrong": (WORDS_WRONG, Verdict.WRONG_ANSWER)})


def _primes(chance: random.Random) -> _Problem:
    def below(n: int) -> list[int]:
        return [i for i in range(2, n + 1) if all(i % k for k in range(2, i))]

    bounds = [chance.randint(20, 60), chance.randint(60, 300), chance.choice((101, 103, 107, 109, 113, 127))]
    suite = TestSuite(entry_point="primes", tests=tuple(FunctionTest(arguments=[n], expected=below(n)) for n in bounds))
    return _Problem(
        "primes",
        suite,
        {
            "right": (PRIMES, Verdict.ACCEPTED),
            "wrong": (PRIMES_WRONG, Verdict.WRONG_ANSWER),
            "raising": (PRIMES_RAISES, Verdict.RUNTIME_ERROR),
        },
    )


def _spans(chance: random.Random) -> _Problem:
    def test() -> FunctionTest:
        apart = [chance.randint(0, 9) + 100 * place for place in range(5)]
        spans = [[start, start + 50] for start in apart] + [[start + 20, start + 60] for start in apart]
        expected = [[start, start + 60] for start in apart]
        chance.shuffle(spans)
        return FunctionTest(arguments=[spans], expected=expected)

    return _Problem(
        "spans",
        TestSuite(entry_point="Solution.merge", tests=tuple(test() for _ in range(5))),
        {
            "right": (MERGE, Verdict.ACCEPTED),
            "wrong": (MERGE_WRONG, Verdict.WRONG_ANSWER),
            "undefined": (MERGE_UNDEFINED, Verdict.RUNTIME_ERROR),
        },
    )
