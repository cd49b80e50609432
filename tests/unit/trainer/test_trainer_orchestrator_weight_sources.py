"""Who gives a shard to whom."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.weight_sources import PEERS_PER_SHARD, Taker, peers_of, shard_order

TAKERS = [Taker(f"http://{name}", f"node-{name[0]}") for name in ("a1", "a2", "b1", "b2", "c1")]
A1, A2, B1, B2, C1 = TAKERS


def taken_from(shard: int, takers: list[Taker], holders: list[Taker]) -> dict[Taker, tuple[str, ...]]:
    return {taker: peers_of(shard, taker, takers, holders) for taker in takers}


def test_one_server_fetches_one_of_each_further_machine_asks_it_and_all_others_ask_their_neighbour() -> None:
    """Shard 0 begins at the first machine, shard 1 at the second."""
    assert taken_from(0, TAKERS, []) == {
        A1: (),
        A2: (A1.url,),
        B1: (A1.url,),
        B2: (B1.url, A1.url),
        C1: (A1.url, B1.url),
    }
    assert taken_from(1, TAKERS, [])[B1] == ()
    assert taken_from(1, TAKERS, [])[A1] == (B1.url, C1.url)


def test_a_server_alone_asks_the_trainer() -> None:
    """There is nobody else."""
    assert peers_of(3, A1, [A1], []) == ()


def test_a_server_that_comes_later_asks_those_that_have_it_its_own_machine_first() -> None:
    """Each shard of another one, so that no holder sends all."""
    assert peers_of(0, A2, [A2], [B1, A1]) == (A1.url, B1.url)
    firsts = Counter(peers_of(shard, C1, [C1], [A1, B1])[0] for shard in range(10))
    assert firsts == {A1.url: 5, B1.url: 5}


servers = st.lists(st.integers(0, 3), min_size=1, max_size=12).map(
    lambda nodes: [Taker(f"http://{index}", f"node-{node}") for index, node in enumerate(nodes)]
)


@given(everyone=servers, having=st.integers(0, 5), shard=st.integers(0, 40))
def test_whoever_is_asked_has_the_shard_or_gets_it_before(everyone: list[Taker], having: int, shard: int) -> None:
    """So no two wait for each other, only one asks the trainer, and no machine asks another twice."""
    holders, takers = everyone[:having], everyone[having:]
    place = {taker.url: index for index, taker in enumerate(shard_order(shard, takers))}
    assert sorted(place) == sorted(taker.url for taker in takers)
    asked = taken_from(shard, takers, holders)
    for taker, peers in asked.items():
        assert len(peers) == len(set(peers)) <= PEERS_PER_SHARD
        assert all(place.get(peer, -1) < place[taker.url] for peer in peers)
    assert sum(not peers for peers in asked.values()) == (1 if takers and not holders else 0)
    node_of = {one.url: one.node for one in everyone}
    from_afar = Counter(taker.node for taker, peers in asked.items() if not peers or node_of[peers[0]] != taker.node)
    assert all(count == 1 for count in from_afar.values())


@pytest.mark.parametrize("servers", [2, 3, 7])
def test_all_servers_fetch_and_send_alike(servers: int) -> None:
    """Of many shards each server fetches its share from the trainer and passes it on to all others."""
    takers = [Taker(f"http://{index}", f"node-{index}") for index in range(servers)]
    first = [peers_of(shard, taker, takers, [])[:1] for shard in range(10 * servers) for taker in takers]
    assert Counter(first) == {(): 10 * servers} | {(one.url,): 10 * (servers - 1) for one in takers}
