"""Which suites are kept, and which are refused."""

from __future__ import annotations

import pytest

from deepcoder_api.problems import AssertionTest, FunctionTest, StdinTest, TestSuite, canonical_json
from deepcoder_sandbox.problem_cache import ProblemCache, SuiteRefusedError

CHECK = "def check(candidate): assert candidate(1)"


def suite(text: str, size: int = 0) -> TestSuite:
    """A suite of its own hash and about `size` bytes."""
    return TestSuite(tests=(StdinTest(input=text, output="x" * size),))


def put(cache: ProblemCache, *suites: TestSuite) -> list[bool]:
    """Put each under its own hash."""
    return [cache.put(one.content_hash(), one) for one in suites]


def test_suite_is_kept_by_its_hash():
    """What was put is found again, and only that."""
    cache = ProblemCache(10_000)
    assert put(cache, suite("a"), suite("b"), suite("a")) == [True, True, False]
    assert cache.get(suite("a").content_hash()) == suite("a")
    assert cache.get(suite("c").content_hash()) is None
    assert len(cache) == 2


def test_bytes_are_bounded_and_the_least_recently_used_goes():
    """Size is that of the canonical JSON; getting or putting again counts as use."""
    a, b, c, d = (suite(name, 1000) for name in "abcd")
    size = len(canonical_json(a))
    cache = ProblemCache(3 * size)
    put(cache, a, b, c)
    assert cache.size_bytes == 3 * size
    cache.get(a.content_hash())
    put(cache, b, d)
    assert [cache.get(one.content_hash()) is not None for one in (a, b, c, d)] == [True, True, False, True]
    assert cache.size_bytes == 3 * size
    put(cache, suite("e", 2500))
    assert cache.size_bytes <= 3 * size
    assert cache.get(suite("e", 2500).content_hash())


def test_text_outside_ascii_counts_in_bytes():
    """A character of four bytes is four bytes."""
    cache = ProblemCache(10_000)
    put(cache, suite("😀" * 100))
    assert cache.size_bytes == len(canonical_json(suite("😀" * 100)).encode())


REFUSED = {
    "another hash": (400, "0" * 64, suite("a")),
    "too large": (413, None, suite("a", 20_000)),
    "function without entry point": (422, None, TestSuite(tests=(FunctionTest(arguments=[], expected=1),))),
    "assertion without entry point": (422, None, TestSuite(tests=(AssertionTest(code=CHECK),))),
    "code that does not compile": (422, None, TestSuite(entry_point="f", tests=(AssertionTest(code="def"),))),
    "code with a NUL": (422, None, TestSuite(entry_point="f", tests=(AssertionTest(code="check = '\0'"),))),
    "code without check": (422, None, TestSuite(entry_point="f", tests=(AssertionTest(code="x = 1"),))),
    "the second test": (
        422,
        None,
        TestSuite(entry_point="f", tests=(AssertionTest(code=CHECK), AssertionTest(code=")"))),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_suite_that_cannot_be_graded_is_refused(name):
    """With the status that says so, and nothing of it is kept."""
    status, content_hash, given = REFUSED[name]
    cache = ProblemCache(10_000)
    with pytest.raises(SuiteRefusedError) as refused:
        cache.put(content_hash or given.content_hash(), given)
    assert refused.value.status == status
    assert (len(cache), cache.size_bytes) == (0, 0)
    if name == "the second test":
        assert "test 2" in str(refused.value)
