"""Progress is asked of the right pod, with a deadline, and silence is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_operator.index import Key
from deepcoder_operator.progress import FRESH_SECONDS, ProgressReader
from tests.operator_builders import pod, progress

KEY = Key("TrainingRun", "team", "tiny")
ADDRESS = "127.0.0.1"


class Server:
    """A progress endpoint that answers what a test says; None is an error."""

    def __init__(self) -> None:
        self.answer: str | None = progress(step=2).model_dump_json()
        self.asked = 0
        self.port = 0

    async def handle(self, _: web.Request) -> web.Response:
        """GET /v1/progress."""
        self.asked += 1
        return web.Response(status=500) if self.answer is None else web.Response(text=self.answer)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A real HTTP server."""
    server = Server()
    application = web.Application()
    application.add_routes([web.get("/v1/progress", server.handle)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, ADDRESS, 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def reader(server: Server, clock: Clock) -> AsyncIterator[ProgressReader]:
    """A reader that asks at the server's port."""
    reader = ProgressReader(server.port, clock)
    yield reader
    await reader.close()


RUNNING = pod("trainer", 1, phase="Running", address=ADDRESS)


async def test_the_running_pod_is_asked(reader: ProgressReader) -> None:
    """One that has no address yet, or is being deleted, is not."""
    pending = pod("trainer", 1, phase="Pending")
    leaving = pod("trainer", 1, phase="Running", address="127.0.0.2", terminating=True)
    answer, silent = await reader.read(Progress, KEY, [pending, leaving, RUNNING])
    assert answer is not None
    assert (answer.step, silent) == (2, 0.0)
    assert await reader.read(Progress, KEY, [pending]) == (None, 0.0)


async def test_a_burst_of_looks_asks_once(reader: ProgressReader, server: Server, clock: Clock) -> None:
    """The answer of a moment ago is good enough; a second later it is not."""
    for _ in range(3):
        await reader.read(Progress, KEY, [RUNNING])
    assert server.asked == 1
    clock.now += FRESH_SECONDS
    await reader.read(Progress, KEY, [RUNNING])
    assert server.asked == 2


@pytest.mark.parametrize("answer", [None, "{}", "no JSON"])
async def test_silence_counts_from_the_last_good_answer(
    reader: ProgressReader, server: Server, clock: Clock, answer: str | None
) -> None:
    """An error and an answer that cannot be read are silence; another pod starts the count anew."""
    await reader.read(Progress, KEY, [RUNNING])
    server.answer = answer
    clock.now += 30
    assert await reader.read(Progress, KEY, [RUNNING]) == (None, 30.0)
    clock.now += 31
    assert await reader.read(Progress, KEY, [RUNNING]) == (None, 61.0)
    successor = pod("trainer", 2, phase="Running", address=ADDRESS)
    assert await reader.read(Progress, KEY, [successor]) == (None, 0.0)


async def test_an_evaluator_tells_its_own_kind_of_progress(reader: ProgressReader, server: Server) -> None:
    """Answers graded, and how many there will be."""
    server.answer = EvaluationProgress(answered=3, total=10).model_dump_json()
    answer, _ = await reader.read(EvaluationProgress, Key("Evaluation", "team", "after"), [RUNNING])
    assert answer == EvaluationProgress(answered=3, total=10)
