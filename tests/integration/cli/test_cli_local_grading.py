"""The grading server of a local run, killed as when its node is lost."""

from __future__ import annotations

from deepcoder_api.grading import Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_sandbox.client import SandboxClient

SUITE = TestSuite(tests=(StdinTest(input="", output="1\n"),))
LIMITS = Limits(timeout_seconds=10)


async def test_a_grading_server_that_was_killed_is_back_at_the_same_place() -> None:
    """A client that asked before goes on, though the server has forgotten the problem's tests."""
    said: list[str] = []
    with LocalGrading(said.append, native=True) as grading:
        async with SandboxClient(grading.url, max_in_flight=1) as client:
            before = await client.grade(SUITE, "print(1)", id="before", limits=LIMITS, deadline_seconds=60)
            grading.revive()
            assert said == []
            assert grading._server is not None
            url = grading.url
            grading._server.kill()
            grading.revive()
            after = await client.grade(SUITE, "print(1)", id="after", limits=LIMITS, deadline_seconds=60)
        assert grading.url == url
        folder = grading._parent
    assert (before.verdict, after.verdict) == (Verdict.ACCEPTED, Verdict.ACCEPTED)
    assert said == ["the grading server ended with exit code -9 and starts again"]
    assert not folder.exists()
