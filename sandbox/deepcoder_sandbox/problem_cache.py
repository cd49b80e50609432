"""Test suites by content hash, within a bound on their bytes; the least recently used go first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from deepcoder_api.problems import AssertionTest, FunctionTest, MathTest, TestSuite, canonical_json


class SuiteRefusedError(Exception):
    """A suite that cannot be graded. `status` is the HTTP status that says so."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class _Entry:
    suite: TestSuite
    size_bytes: int


class ProblemCache:
    """Holds suites of at most `max_bytes` of canonical JSON together. Any thread may use it.

    Its metrics go to `registry`, where there is one.
    """

    def __init__(self, max_bytes: int, registry: CollectorRegistry | None = None) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self._asked = Counter(
            "deepcoder_sandbox_cache_lookups",
            "Suites asked for, by outcome: hit, miss.",
            ["outcome"],
            registry=registry,
        )
        self._evicted = Counter("deepcoder_sandbox_cache_evictions", "Suites put out for others.", registry=registry)
        size = Gauge("deepcoder_sandbox_cache_bytes", "Bytes of test suites held.", registry=registry)
        size.set_function(lambda: self.size_bytes)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, content_hash: str) -> TestSuite | None:
        """The suite with this hash, when it is here; it is then the most recently used."""
        with self._lock:
            entry = self._entries.get(content_hash)
            self._asked.labels("hit" if entry else "miss").inc()
            if entry is None:
                return None
            self._entries.move_to_end(content_hash)
            return entry.suite

    def put(self, content_hash: str, suite: TestSuite) -> bool:
        """Keep `suite`; False when it was here. Raises SuiteRefusedError: 400 hash, 413 too large, 422 ungradable."""
        text = canonical_json(suite).encode("utf-8", "surrogatepass")
        found = hashlib.sha256(text).hexdigest()
        if found != content_hash:
            raise SuiteRefusedError(400, f"the body's hash is {found}, not {content_hash}")
        if len(text) > self.max_bytes:
            raise SuiteRefusedError(413, f"a suite of {len(text)} bytes; this server caches at most {self.max_bytes}")
        check_gradable(suite)
        with self._lock:
            if content_hash in self._entries:
                self._entries.move_to_end(content_hash)
                return False
            self._entries[content_hash] = _Entry(suite, len(text))
            self.size_bytes += len(text)
            while self.size_bytes > self.max_bytes:
                self.size_bytes -= self._entries.popitem(last=False)[1].size_bytes
                self._evicted.inc()
            return True


def check_gradable(suite: TestSuite) -> None:
    """Raises SuiteRefusedError for a suite that no program could be graded by."""
    if suite.checker is not None:
        _check_defines_check(suite.checker, "the checker", "check(input, output, expected)")
    kinds = {isinstance(test, MathTest) for test in suite.tests}
    if len(kinds) > 1 or (True in kinds and suite.checker is not None):
        raise SuiteRefusedError(422, "math tests compare a value; they go with no test of a program and no checker")
    for number, test in enumerate(suite.tests, start=1):
        if isinstance(test, FunctionTest | AssertionTest) and not suite.entry_point:
            raise SuiteRefusedError(422, f"test {number} calls a function, but the suite has no entry_point")
        if isinstance(test, AssertionTest):
            _check_defines_check(test.code, f"test {number}: its assertion code", "check(candidate)")
            if suite.checker is not None:
                raise SuiteRefusedError(422, f"test {number}: assertion code decides by itself; it takes no checker")


def _check_defines_check(source: str, what: str, signature: str) -> None:
    try:
        code = compile(source, "check.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SuiteRefusedError(422, f"{what} does not compile: {error}") from error
    if "check" not in code.co_names:
        raise SuiteRefusedError(422, f"{what} does not define {signature}")
