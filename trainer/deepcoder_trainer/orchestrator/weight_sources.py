"""Who gives a shard to whom, so that trainers send each shard once, however many servers take it. No I/O.

Of a shard that nobody has yet one server fetches from the trainer, one of each further machine from another machine,
and all others from their own machine. Shards begin at different servers in turn, so that all send alike: the trainers
scatter a version over the machines while those exchange what they have.

Whoever asks a peer asks one that comes before it in the shard's own order. So nobody waits in a circle, and when peers
vanish the first that is left falls back to the trainer and the others on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

PEERS_PER_SHARD = 3
Item = TypeVar("Item")


@dataclass(frozen=True)
class Taker:
    """A server that takes a version, or has it: where it serves shards, and the machine it runs on."""

    url: str
    node: str


def peers_of(shard: int, taker: Taker, takers: Sequence[Taker], holders: Sequence[Taker]) -> tuple[str, ...]:
    """The peers that `taker` asks for shard number `shard`, best first; none: it asks the trainer.

    takers: those that take the version at the same time, `taker` among them, in an order that all shards share.
    holders: those that have the version whole.
    """
    order = shard_order(shard, takers)
    before = order[: order.index(taker)]
    have = _rotated(list(holders), shard)
    near = [one for one in (*have, *before) if one.node == taker.node]
    # A machine that has somebody nearer to the shard takes it over the network no second time.
    far = [one for one in (*have, *_first_of_each_node(before)) if one.node != taker.node]
    return tuple(dict.fromkeys(one.url for one in (*near, *far)))[:PEERS_PER_SHARD]


def shard_order(shard: int, takers: Sequence[Taker]) -> list[Taker]:
    """The order in which takers get a shard: machine by machine, each shard beginning with another server."""
    nodes = list(dict.fromkeys(taker.node for taker in takers))
    order: list[Taker] = []
    for node in _rotated(nodes, shard):
        order += _rotated([taker for taker in takers if taker.node == node], shard // len(nodes))
    return order


def _first_of_each_node(order: Sequence[Taker]) -> list[Taker]:
    firsts: dict[str, Taker] = {}
    for taker in order:
        firsts.setdefault(taker.node, taker)
    return list(firsts.values())


def _rotated(items: list[Item], by: int) -> list[Item]:
    return items[by % len(items) :] + items[: by % len(items)] if items else []
