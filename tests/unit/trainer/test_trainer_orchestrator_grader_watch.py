"""Grading servers that fail by themselves: told while the step still waits for its grades."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest

from deepcoder_api.grading import GradeResult, Limits, TestResult, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import AttemptCounts, SandboxClient
from deepcoder_trainer.orchestrator.grader_watch import WINDOW_SECONDS, GraderErrors, GraderWatch
from deepcoder_trainer.orchestrator.guards import Finding
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress


def found(seen: Sequence[tuple[float, int, int]]) -> Finding | None:
    """What is found at the last of these: seconds, grades and internal errors since the client began."""
    errors, finding = GraderErrors(), None
    for now, graded, failed in seen:
        finding = errors.look(now, AttemptCounts(graded, failed))
    return finding


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ([(0, 0, 0), (60, 400, 0)], False),
        ([(0, 0, 0), (60, 0, 4)], False),  # a server that was killed in the middle of a few
        ([(0, 0, 0), (60, 0, 5)], True),  # nothing is graded at all: no step would end and tell
        ([(0, 0, 0), (60, 495, 5)], False),  # one in a hundred
        ([(0, 0, 0), (60, 494, 5)], True),
        ([(0, 10_000, 50), (60, 10_100, 50)], False),  # what was before the window
        ([(0, 0, 0), (60, 100, 9), (61 + WINDOW_SECONDS, 900, 9)], False),  # long ago
        ([(0, 0, 0), (60, 100, 0), (59 + WINDOW_SECONDS, 110, 9)], True),
    ],
)
def test_more_than_one_attempt_in_a_hundred_is_too_many(seen: Sequence[tuple[float, int, int]], wrong: bool) -> None:
    """Of those of the last ten minutes, and not for a handful."""
    finding = found(seen)
    assert (finding is not None) is wrong
    if finding is not None:
        assert (finding.name, finding.stops) == ("GraderFails", False)


def test_the_text_says_how_many_and_what_to_do() -> None:
    """Attempts, the time, the verdict, and where the reason is."""
    assert str(found([(0, 10, 0), (60, 84, 26)])) == (
        "GraderFails: 26 of 100 attempts at a grade in the last 10 min ended in internal_error, above 1%; they are "
        "made again, and the sandbox pods' logs say why"
    )


async def test_what_is_wrong_shows_before_any_step_ends_and_goes_when_it_is_over() -> None:
    """A server that fails six times and then grades: a warning in /v1/progress and in the metrics, then in neither."""
    left = 6

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal left
        left -= 1
        verdict = Verdict.INTERNAL_ERROR if left >= 0 else Verdict.ACCEPTED
        tests = (TestResult(verdict=verdict),)
        result = GradeResult(id="a", verdict=verdict, tests=tests, tests_total=1, detail="")
        return httpx.Response(200, content=result.model_dump_json())

    progress, metrics = RunProgress(1, 10), RunMetrics()
    suite = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
    transport = httpx.MockTransport(answer)
    async with SandboxClient("http://sandbox", registry=metrics.registry, transport=transport) as client:
        watch, errors = GraderWatch(lambda: client.attempts, progress, metrics), GraderErrors()
        watch.tell(errors.look(0, client.attempts))
        assert progress.view(1).warnings == ()
        progress.warnings = ("NoSignal: nothing is learned",)
        asking = [
            client.grade(suite, "print(14)", id=str(number), limits=Limits(), deadline_seconds=30)
            for number in range(6)
        ]
        assert {result.verdict for result in await asyncio.gather(*asking)} == {Verdict.ACCEPTED}
        assert client.attempts == AttemptCounts(graded=6, internal_errors=6)
        watch.tell(errors.look(30, client.attempts))
        assert [text.partition(":")[0] for text in progress.view(1).warnings] == ["NoSignal", "GraderFails"]
        assert metrics.registry.get_sample_value("deepcoder_guard_warning", {"guard": "GraderFails"}) == 1
        retries = metrics.registry.get_sample_value(
            "deepcoder_sandbox_client_retries_total", {"reason": "internal_error"}
        )
        assert retries == 6
        watch.tell(errors.look(31 + WINDOW_SECONDS, client.attempts))
        watch.tell(errors.look(32 + WINDOW_SECONDS, client.attempts))
        assert progress.view(1).warnings == ("NoSignal: nothing is learned",)
        assert metrics.registry.get_sample_value("deepcoder_guard_warning", {"guard": "GraderFails"}) == 0


async def test_the_watch_looks_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, by its own clock."""
    monkeypatch.setattr("deepcoder_trainer.orchestrator.grader_watch.LOOK_SECONDS", 0.005)
    progress, failed, often = RunProgress(1, 10), 0, asyncio.Event()

    def counts() -> AttemptCounts:
        nonlocal failed
        failed += 2
        if failed > 10:
            often.set()
        return AttemptCounts(0, failed)

    watching = asyncio.create_task(GraderWatch(counts, progress, RunMetrics()).watch())
    await asyncio.wait_for(often.wait(), 10)
    assert progress.grader is not None
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
