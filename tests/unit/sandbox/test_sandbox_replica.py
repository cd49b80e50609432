"""One server as a client sees it: how long it is left alone after it was lost."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from deepcoder_api.grading import GradeResult, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client_errors import TryAgainError
from deepcoder_sandbox.replica import Replica

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
ACCEPTED = GradeResult(id="a", verdict=Verdict.ACCEPTED).model_dump(mode="json")


class Server:
    """Answers, unless it is lost: then all that is under way on it fails, and all that comes."""

    def __init__(self) -> None:
        self.lost = True
        self.replica = Replica(
            "http://sandbox", connections=64, connect_seconds=5, transport=httpx.MockTransport(self._serve)
        )

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        if self.lost:
            raise httpx.RemoteProtocolError("server disconnected")
        return httpx.Response(200, json=ACCEPTED)

    async def ask(self) -> None:
        """One attempt."""
        await self.replica.grade(b"{}", DOUBLING, DOUBLING.content_hash(), time.monotonic() + 20)

    async def lose(self, grades: int) -> float:
        """So many grades at once, all lost. Returns the seconds for which it is left alone."""
        begun = time.monotonic()
        outcomes = await asyncio.gather(*(self.ask() for _ in range(grades)), return_exceptions=True)
        assert all(isinstance(outcome, TryAgainError) for outcome in outcomes)
        return self.replica.away_until - begun


async def test_server_is_left_alone_longer_each_time_it_is_lost():
    """However many grades each loss costs: a server that is back after seconds is asked again after seconds."""
    server = Server()
    for seconds in (1, 2, 4):
        assert await server.lose(64) == pytest.approx(seconds, abs=0.9)


async def test_grade_makes_the_next_loss_the_first_one_again():
    """A server that works is not held to what was long ago."""
    server = Server()
    await server.lose(1)
    await server.lose(1)
    server.lost = False
    await server.ask()
    server.lost = True
    assert await server.lose(64) == pytest.approx(1, abs=0.9)
