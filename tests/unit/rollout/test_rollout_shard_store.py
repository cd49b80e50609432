"""Which shards a server has, which are coming, and what it says of all others."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import httpx
import pytest

from deepcoder_api.rollout import Shard, WeightOrder, shard_url
from deepcoder_rollout.shard_store import GoneError, NotYetError, ShardStore
from tests.shard_sources import store_served


def shard(name: str, content: bytes = b"weights") -> Shard:
    digest = hashlib.sha256(content).hexdigest()
    return Shard(path=name, bytes=len(content), sha256=digest, trainer="http://trainer")


def order(version: int, *shards: Shard, attempt: int = 1) -> WeightOrder:
    return WeightOrder(attempt=attempt, version=version, shards=shards, deadline_seconds=5)


def arrive(store: ShardStore, one: Shard, content: bytes = b"weights") -> None:
    unfinished = store.unfinished(one)
    unfinished.write_bytes(content)
    store.arrived(one, unfinished)


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    store = ShardStore(tmp_path / "weights")
    store.clear()
    return store


def test_a_shard_is_found_once_it_is_whole(store: ShardStore) -> None:
    """Coming until then; what is being written has a name that nobody can ask for."""
    first, second = shard("a.safetensors"), shard("b.safetensors")
    assert store.begin(order(3, first, second)) == [first, second]
    with pytest.raises(NotYetError):
        store.find((1, 3), "a.safetensors")
    arrive(store, first)
    assert store.find((1, 3), "a.safetensors").read_bytes() == b"weights"
    writing = store.unfinished(second)
    writing.write_bytes(b"half")
    with pytest.raises(GoneError):
        store.find((1, 3), writing.name)


@pytest.mark.parametrize(
    ("asked", "said"),
    [((1, 2), GoneError), ((0, 9), GoneError), ((1, 4), NotYetError), ((2, 0), NotYetError)],
)
def test_another_version_is_gone_or_may_be_ordered_soon(
    store: ShardStore, asked: tuple[int, int], said: type[Exception]
) -> None:
    """An older version will never come again; of a newer one others may hear first."""
    store.begin(order(3, shard("a.safetensors")))
    arrive(store, shard("a.safetensors"))
    with pytest.raises(said):
        store.find(asked, "a.safetensors")


def test_what_is_given_up_is_gone_and_what_came_stays_for_the_next_order(store: ShardStore) -> None:
    """The next order of the version lacks only the rest; nothing half written is left."""
    first, second = shard("a.safetensors"), shard("b.safetensors")
    store.begin(order(3, first, second))
    arrive(store, first)
    store.unfinished(second).write_bytes(b"half")
    store.give_up()
    with pytest.raises(GoneError):
        store.find((1, 3), "b.safetensors")
    assert [file.name for file in store.folder.iterdir()] == ["a.safetensors"]
    assert store.begin(order(3, first, second)) == [second]


def test_another_version_takes_the_place_of_the_last(store: ShardStore) -> None:
    """Only one lies in memory, and its folder holds nothing but its shards."""
    store.begin(order(3, shard("a.safetensors")))
    arrive(store, shard("a.safetensors"))
    old = store.folder
    store.begin(order(0, shard("a.safetensors"), attempt=2))
    assert not old.exists()
    assert list(store.folder.iterdir()) == []
    with pytest.raises(GoneError):
        store.find((1, 3), "a.safetensors")


def test_a_thread_that_still_writes_does_not_stop_the_next_version(
    store: ShardStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that was given up may make its file while the old version is removed."""
    store.begin(order(1, shard("a")))
    late, remove = store.unfinished(shard("a")), shutil.rmtree

    def remove_beside_it(folder: Path, *, ignore_errors: bool) -> None:
        remove(folder, ignore_errors=ignore_errors)
        late.parent.mkdir(parents=True)
        late.write_bytes(b"late")

    monkeypatch.setattr(shutil, "rmtree", remove_beside_it)
    one = shard("a", b"newer")
    assert store.begin(order(2, one)) == [one]
    arrive(store, one, b"newer")
    assert store.find((1, 2), "a").read_bytes() == b"newer"
    monkeypatch.undo()
    store.begin(order(3, one))
    assert not late.exists()


def test_a_shard_with_another_checksum_than_announced_now_is_fetched_again(store: ShardStore) -> None:
    """The order says what is right, not what an earlier one said; a shard that it does not name is removed."""
    store.begin(order(3, shard("a.safetensors"), shard("b.safetensors")))
    arrive(store, shard("a.safetensors"))
    arrive(store, shard("b.safetensors"))
    changed = shard("a.safetensors", b"others")
    assert store.begin(order(3, changed)) == [changed]
    assert list(store.folder.iterdir()) == []


async def test_shards_are_read_by_others_and_nothing_else_is_done_there(tmp_path: Path) -> None:
    """200, 503 while it comes, 404 for what will not; no orders are taken at that port."""
    async with store_served(tmp_path / "weights") as (store, url), httpx.AsyncClient(trust_env=False) as http:
        store.begin(order(3, shard("a.safetensors"), shard("b.safetensors")))
        arrive(store, shard("a.safetensors"))
        asked = {name: await http.get(shard_url(url, 1, 3, name)) for name in ("a.safetensors", "b.safetensors", "c")}
        assert [answer.status_code for answer in asked.values()] == [200, 503, 404]
        assert asked["a.safetensors"].content == b"weights"
        assert (await http.get(f"{url}/v1/weights/x/3/a.safetensors")).status_code == 404
        assert (await http.get(f"{url}/v1/weights/1/3/..%2F..%2Fa.safetensors")).status_code == 404
        assert (await http.post(f"{url}/v1/weights", json={})).status_code == 404
        assert (await http.post(shard_url(url, 1, 3, "a.safetensors"))).status_code == 405
