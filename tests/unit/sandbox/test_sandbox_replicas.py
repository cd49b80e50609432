"""Servers behind a name: all of them are used, and those that come and go are noticed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import httpx
import pytest

from deepcoder_api.grading import GradeResult, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox import replicas
from deepcoder_sandbox.client import GradeUnavailableError, SandboxClient

DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
ACCEPTED = GradeResult(id="a", verdict=Verdict.ACCEPTED).model_dump(mode="json")


class Cluster:
    """A name, the addresses behind it, and servers at some of them. Counts lookups, and requests by address."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] | OSError = addresses
        self.gone: set[str] = set()
        self.lookups = 0
        self.asked: Counter[str] = Counter()
        self.hosts: set[str] = set()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("sandbox.team", 8000)
        self.lookups += 1
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return self.addresses

    async def serve(self, request: httpx.Request) -> httpx.Response:
        assert request.url.port == 8000
        self.asked[request.url.host] += 1
        self.hosts.add(request.headers["host"])
        await asyncio.sleep(0.02)
        if request.url.host in self.gone:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=ACCEPTED)

    def client(self) -> SandboxClient:
        """A client that knows the name alone."""
        transport = httpx.MockTransport(self.serve)
        return SandboxClient("dns+http://sandbox.team:8000", transport=transport, resolve=self.resolve)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up again without much waiting."""
    monkeypatch.setattr(replicas, "LOOK_EVERY_SECONDS", 0.2)
    monkeypatch.setattr(replicas, "LOOK_AFTER_FAILURE_SECONDS", 0.05)


async def grades(client: SandboxClient, count: int = 1, seconds: float = 20) -> None:
    """So many at once, all accepted."""
    asked = [
        client.grade(DOUBLING, "print(14)", id="a", limits=Limits(), deadline_seconds=seconds) for _ in range(count)
    ]
    assert all(result.accepted for result in await asyncio.gather(*asked))


async def test_every_address_behind_a_name_gets_its_share():
    """IPv6 too; each is asked under the name, as a proxy or a virtual host wants it."""
    cluster = Cluster("10.0.0.1", "10.0.0.2", "fd00::3")
    async with cluster.client() as client:
        await grades(client, 12)
    assert cluster.asked == {"10.0.0.1": 4, "10.0.0.2": 4, "fd00::3": 4}
    assert cluster.hosts == {"sandbox.team:8000"}
    assert cluster.lookups == 1


async def test_replicas_that_come_and_go_are_noticed():
    """After a while, without a failure; what is under way on one that leaves is finished."""
    cluster = Cluster("10.0.0.1", "10.0.0.2")
    async with cluster.client() as client:
        await grades(client, 4)
        cluster.addresses = ("10.0.0.2", "10.0.0.3")
        await asyncio.sleep(0.25)
        await grades(client)  # starts the lookup, and does not wait for it
        await asyncio.sleep(0.05)
        before = cluster.asked["10.0.0.1"]
        await grades(client, 4)
    assert cluster.asked["10.0.0.1"] == before
    assert cluster.asked["10.0.0.3"] == 2


async def test_failure_has_the_name_looked_up_again_soon(monkeypatch):
    """A pod that was replaced has another address at once."""
    monkeypatch.setattr(replicas, "LOOK_EVERY_SECONDS", 600.0)
    cluster = Cluster("10.0.0.1")
    async with cluster.client() as client:
        await grades(client)
        cluster.gone, cluster.addresses = {"10.0.0.1"}, ("10.0.0.9",)
        await grades(client)
    assert cluster.asked["10.0.0.9"] == 1
    assert 2 <= cluster.lookups <= 3


@pytest.mark.parametrize("failure", [OSError("no such name"), ()])
async def test_replicas_are_waited_for(failure):
    """A Service without ready pods has no address yet; grades wait for one until their deadline."""
    cluster = Cluster()
    cluster.addresses = failure
    async with cluster.client() as client:
        with pytest.raises(GradeUnavailableError):
            await grades(client, seconds=0.2)
        waiting = asyncio.create_task(grades(client))
        await asyncio.sleep(0.1)
        cluster.addresses = ("10.0.0.1",)
        await waiting
    assert cluster.asked["10.0.0.1"] == 1


async def test_resolver_that_fails_leaves_known_replicas_in_use():
    """It fails more easily than they do."""
    cluster = Cluster("10.0.0.1")
    async with cluster.client() as client:
        await grades(client)
        cluster.addresses = OSError("resolver is gone")
        await asyncio.sleep(0.25)
        await grades(client, 3)
    assert cluster.asked["10.0.0.1"] == 4


async def test_reason_of_a_name_that_is_none_is_told():
    """With the system's own resolver."""
    async with SandboxClient("dns+http://there-is-none.invalid:8000") as client:
        with pytest.raises(GradeUnavailableError, match=r"there-is-none\.invalid cannot be resolved"):
            await grades(client, seconds=1)


async def test_systems_resolver_finds_this_machine():
    """Each address once."""
    assert "127.0.0.1" in await replicas.addresses_of("localhost", 8000)
