"""Fetching a version over real HTTP: whole and checked, or not at all, whatever the sources do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from deepcoder_rollout.shard_store import ShardStore
from deepcoder_rollout.weights import FetchFailedError, FetchRules, fetch
from tests.shard_sources import contents, held, order_of, source, store_served

FILES = contents(6)
FIRST = sorted(FILES)[0]
RULES = FetchRules(silence_seconds=1, trainer_pause_seconds=0.02, last_poll_seconds=0.05)
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    store = ShardStore(tmp_path / "weights")
    store.clear()
    return store


async def test_without_peers_every_shard_comes_from_the_trainer(store: ShardStore) -> None:
    """Each once, and its bytes are told as the trainer's."""
    async with source(FILES) as trainer:
        fetched = await fetch(order_of(FILES, trainer.url), store, RULES)
    assert held(store) == FILES
    assert (fetched.trainer_bytes, fetched.peer_bytes) == (sum(map(len, FILES.values())), 0)
    assert trainer.asked == dict.fromkeys(FILES, 1)


async def test_a_peer_that_has_the_shards_spares_the_trainer(store: ShardStore) -> None:
    """Nothing is asked of the trainer."""
    async with source(FILES) as trainer, source(FILES) as peer:
        fetched = await fetch(order_of(FILES, trainer.url, lambda number: (peer.url,)), store, RULES)
    assert held(store) == FILES
    assert (fetched.trainer_bytes, fetched.peer_bytes) == (0, sum(map(len, FILES.values())))
    assert not trainer.asked
    assert not fetched.failures


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("damaged", "damaged"),
        ("short", "damaged"),
        ("hangs", "silent"),
        ("stalls", "silent"),
        ("breaks off", "unreachable"),
        ("error", "unreachable"),
    ],
)
async def test_what_a_bad_peer_does_not_give_whole_comes_from_elsewhere(
    store: ShardStore, fault: str, reason: str
) -> None:
    """The next peer, then the trainer; the bad one is not waited for again and again, and its failures are told."""
    started = time.monotonic()
    async with source(FILES) as trainer, source(FILES, fault) as bad, source({FIRST: FILES[FIRST]}) as good:
        fetched = await fetch(order_of(FILES, trainer.url, lambda number: (bad.url, good.url)), store, RULES)
    assert held(store) == FILES
    assert fetched.peer_bytes == len(FILES[FIRST])
    assert trainer.asked == {name: 1 for name in FILES if name != FIRST}
    assert fetched.failures[reason] >= 1
    assert time.monotonic() - started < 10


async def test_a_peer_that_is_not_there_costs_nothing_but_the_attempt(store: ShardStore) -> None:
    """Refused connections fall through to the trainer."""
    async with source(FILES) as trainer:
        fetched = await fetch(order_of(FILES, trainer.url, lambda number: (UNREACHABLE,)), store, RULES)
    assert held(store) == FILES
    assert fetched.failures["unreachable"] >= 1


async def test_a_shard_that_is_coming_to_a_peer_is_waited_for(store: ShardStore, tmp_path: Path) -> None:
    """The peer says "not yet" while it fetches the shard itself; the trainer sends it once."""
    async with source(FILES) as trainer, store_served(tmp_path / "peer") as (peers_store, url):
        asking = asyncio.create_task(fetch(order_of(FILES, trainer.url, lambda number: (url,)), store, RULES))
        await asyncio.sleep(0.2)
        assert not trainer.asked
        await fetch(order_of(FILES, trainer.url), peers_store, RULES)
        fetched = await asyncio.wait_for(asking, 10)
    assert held(store) == held(peers_store) == FILES
    assert trainer.asked == dict.fromkeys(FILES, 1)
    assert fetched.trainer_bytes == 0


async def test_a_peer_that_never_gets_a_shard_is_waited_for_a_part_of_the_time(store: ShardStore) -> None:
    """A quarter of the order's deadline; then the trainer is asked, in time."""
    async with source(FILES) as trainer, source(FILES, "not yet") as slow:
        order = order_of(FILES, trainer.url, lambda number: (slow.url,), deadline_seconds=2)
        fetched = await fetch(order, store, RULES)
    assert held(store) == FILES
    assert fetched.failures["late"] == len(FILES)


async def test_a_peer_that_sends_too_slowly_is_given_up(store: ShardStore) -> None:
    """It is never silent, but it would take all the time that the order has."""
    async with source(FILES) as trainer, source(FILES, "trickles") as slow:
        order = order_of(FILES, trainer.url, lambda number: (slow.url,), deadline_seconds=4)
        fetched = await fetch(order, store, FetchRules(peer_share_of_deadline=0.1))
    assert held(store) == FILES
    assert fetched.failures["late"] >= 1


@pytest.mark.parametrize("fault", ["damaged", "breaks off", "error", "stalls"])
async def test_a_trainer_that_fails_for_a_while_is_asked_again(store: ShardStore, fault: str) -> None:
    """A few times with pauses; one failure or two do not fail the order."""
    async with source(FILES, fault) as trainer:
        trainer.failures_left = 2
        fetched = await fetch(order_of(FILES, trainer.url), store, RULES)
    assert held(store) == FILES
    assert sum(fetched.failures.values()) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [("damaged", "checksum"), ("short", "bytes come from"), ("breaks off", "broke off|reset"), ("error", "500")],
)
async def test_a_trainer_that_fails_for_good_fails_the_order(store: ShardStore, fault: str, said: str) -> None:
    """One error of our own that names the version and the cause; nothing half fetched is left."""
    async with source(FILES, fault) as trainer:
        with pytest.raises(FetchFailedError, match=rf"version 3: .*({said})"):
            await fetch(order_of(FILES, trainer.url), store, RULES)
    assert held(store) == {}


async def test_a_version_that_the_trainer_has_no_more_is_not_asked_for_again(store: ShardStore) -> None:
    """404 is final: a newer version has been published, and its order is on its way."""
    async with source({}) as trainer:
        with pytest.raises(FetchFailedError, match="no such shard"):
            await fetch(order_of(FILES, trainer.url), store, RULES)


async def test_a_trainer_that_vanishes_in_mid_fetch_fails_the_order_and_what_came_is_kept(store: ShardStore) -> None:
    """The next order of the version fetches the rest, from whoever has it."""
    first = {FIRST: FILES[FIRST]}
    async with source(first, "") as trainer, source(FILES, "stalls") as stalling:
        peers = [trainer.url] + [stalling.url] * 5
        order = order_of(FILES, UNREACHABLE, lambda number: (peers[number],))
        with pytest.raises(FetchFailedError, match="Connection refused"):
            await fetch(order, store, RULES)
    assert held(store) == first
    async with source(FILES) as again:
        fetched = await fetch(order_of(FILES, again.url), store, RULES)
    assert held(store) == FILES
    assert FIRST not in again.asked
    assert fetched.trainer_bytes == sum(map(len, FILES.values())) - len(FILES[FIRST])


async def test_the_deadline_ends_a_fetch_that_hangs(store: ShardStore) -> None:
    """Whatever the rules for a single source are."""
    async with source(FILES, "hangs") as trainer:
        with pytest.raises(FetchFailedError, match="did not arrive within 0 s"):
            await fetch(order_of(FILES, trainer.url, deadline_seconds=0.2), store, FetchRules())


async def test_a_fetch_that_is_given_up_leaves_nothing_running(store: ShardStore) -> None:
    """A thread that still waits for its source writes nothing that a later fetch could take for its own."""
    async with source(FILES, "stalls") as trainer:
        fetching = asyncio.create_task(fetch(order_of(FILES, trainer.url), store, FetchRules(silence_seconds=2)))
        await asyncio.sleep(0.3)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        trainer.fault = ""
        await fetch(order_of(FILES, trainer.url), store, RULES)
        await asyncio.sleep(0.2)
        assert held(store) == FILES


async def test_a_full_disk_is_no_fault_of_a_source(store: ShardStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails the order at once, with the file."""
    monkeypatch.setattr(ShardStore, "unfinished", lambda self, shard: Path("/proc/no-room"))
    async with source(FILES) as trainer:
        with pytest.raises(FetchFailedError, match="version 3: /proc/no-room"):
            await fetch(order_of(FILES, trainer.url), store, RULES)


async def test_a_name_cannot_leave_the_folder(store: ShardStore) -> None:
    """Whatever path an order names, the file lands in the version's folder."""
    async with source({"evil": b"evil"}) as trainer:
        order = order_of({"evil": b"evil"}, trainer.url)
        outside = order.shards[0].model_copy(update={"path": "../evil"})
        with pytest.raises(FetchFailedError):  # the route has no such file
            await fetch(order.model_copy(update={"shards": (outside,)}), store, RULES)
    assert store.unfinished(outside).parent == store.folder
