"""A server that runs and no longer works: told from one that has nothing to do, and from one that loads weights."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import httpx
import pytest

from deepcoder_rollout.agent import Agent
from deepcoder_rollout.holding import Place
from deepcoder_rollout.stalling import StallWatch, tokens_of
from deepcoder_rollout.vllm_server import ServerControl, ServerFailedError

METRICS = """# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="policy"} 11487.0
# TYPE vllm:prompt_tokens_by_source_total counter
vllm:prompt_tokens_by_source_total{engine="0",model_name="policy",source="local_compute"} 11487.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="policy"} 11455.0
vllm:generation_tokens_total{engine="1",model_name="policy"} 45.0
"""
SOON = 0.3
LATER_SECONDS = 0.6


def test_tokens_are_those_read_and_generated_by_all_engines() -> None:
    """Counted once: the same by source is not added."""
    assert tokens_of(METRICS) == 11487 + 11455 + 45
    assert tokens_of("# TYPE other gauge\nother 1.0\n") is None


def test_time_counts_from_the_last_sign_of_work() -> None:
    """Quiet at 60 s, stalled after 300; tokens that moved, or an answer, begin anew."""
    watch = StallWatch(300, now=0)
    watch.saw(5, 10)
    watch.saw(5, 60)
    assert not watch.is_quiet(69)
    assert watch.is_quiet(70)
    watch.saw(6, 80)
    assert not watch.is_quiet(100)
    watch.saw(None, 150)
    assert watch.is_quiet(150)
    watch.moved(200)
    assert watch.stalled_seconds(500) is None
    assert watch.stalled_seconds(501) == 301


class Vllm:
    """Answers as a server that works, has nothing to do, hangs below its routes, or hangs as a whole."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.asked = 0
        self._tokens = itertools.count(11455)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.how == "silent":
            raise httpx.ReadTimeout("silent", request=request)
        if request.url.path == "/metrics" and self.how == "tells nothing":
            return httpx.Response(404)
        if request.url.path == "/metrics":
            tokens = str(next(self._tokens)) if self.how == "works" else "11455"
            return httpx.Response(200, text=METRICS.replace("11455.0", tokens))
        self.asked += 1
        if self.how == "hangs":
            raise httpx.ReadTimeout("no token", request=request)
        return httpx.Response({"fails": 500, "refuses": 400}.get(self.how, 200), json={})


def agent_of(vllm: Vllm, folder: Path) -> Agent:
    """An agent beside it."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(vllm))
    place = Place("rollout-0", "machine-a", "10.0.0.7", 8300, 8000, 8302)
    control = ServerControl("http://127.0.0.1:8000", client)
    return Agent(place, orchestrator="http://orchestrator", control=control, shared_memory=folder, client=client)


@pytest.mark.parametrize("how", ["hangs", "silent", "fails"])
async def test_a_server_that_has_stalled_is_given_up(how: str, tmp_path: Path) -> None:
    """Its routes may answer or not: no token came."""
    with pytest.raises(ServerFailedError, match="has generated nothing for 0 s"):
        async with asyncio.timeout(10):
            await agent_of(Vllm(how), tmp_path).watch_forever(SOON)


@pytest.mark.parametrize(
    ("how", "asked"), [("works", False), ("idle", True), ("refuses", True), ("tells nothing", True)]
)
async def test_a_server_that_works_or_has_nothing_to_do_is_kept(how: str, asked: bool, tmp_path: Path) -> None:
    """Only one that has been quiet is asked for a token."""
    vllm = Vllm(how)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LATER_SECONDS):
            await agent_of(vllm, tmp_path).watch_forever(SOON)
    assert (vllm.asked > 0) is asked


async def test_a_server_that_loads_weights_is_left_alone(tmp_path: Path) -> None:
    """It is paused: a request would wait for the end of the load, which has a deadline of its own."""
    vllm = Vllm("hangs")
    agent = agent_of(vllm, tmp_path)
    async with agent.holding.loading:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(LATER_SECONDS):
                await agent.watch_forever(SOON)
    assert vllm.asked == 0
