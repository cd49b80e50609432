"""Which rollout servers live, and which one takes the next prompts."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_api.rollout import Heartbeat
from deepcoder_trainer.orchestrator.registry import BASE_MODEL, Policy, RolloutRegistry, Server


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def registry_at(wanted: Policy, clock: Clock | None = None) -> RolloutRegistry:
    return RolloutRegistry(wanted, clock or Clock(), expire_seconds=10, samples_per_server=16)


def beat(
    registry: RolloutRegistry, name: str, held: Policy = BASE_MODEL, *, ready: bool = True, port: int = 1
) -> Server:
    heartbeat = Heartbeat(
        server=name, generate_url=f"http://{name}:{port}", agent_url=f"http://{name}:9",
        shards_url=f"http://{name}:10", node="machine", attempt=held.attempt, version=held.version, ready=ready,
    )  # fmt: skip
    return registry.heard(heartbeat)


@pytest.mark.parametrize(
    ("wanted", "held", "ready", "current"),
    [
        (Policy(1, 0), BASE_MODEL, True, True),
        (Policy(1, 0), BASE_MODEL, False, False),
        (Policy(1, 1), BASE_MODEL, True, False),
        (Policy(1, 1), Policy(1, 1), True, True),
        (Policy(1, 2), Policy(1, 1), True, False),
        (Policy(2, 0), BASE_MODEL, True, False),
        (Policy(2, 5), Policy(1, 5), True, False),
        (Policy(2, 5), Policy(2, 5), True, True),
    ],
)
def test_only_a_server_that_holds_the_wanted_weights_is_given_prompts(
    wanted: Policy, held: Policy, ready: bool, current: bool
) -> None:
    """Version and attempt must match; the base model is the first attempt's version 0 and nothing else's."""
    registry = registry_at(wanted)
    beat(registry, "a", held, ready=ready)
    assert bool(registry.current) is current
    assert (registry.choose(1) is not None) is current


def test_a_silent_server_expires_and_its_work_is_lost() -> None:
    """After ten seconds without a beat, not before; one that beats stays."""
    clock = Clock()
    registry = registry_at(Policy(1, 0), clock)
    silent, heard = beat(registry, "silent"), beat(registry, "heard")
    clock.now += 9
    beat(registry, "heard")
    assert registry.expire() == []
    clock.now += 2
    assert registry.expire() == [silent]
    assert silent.lost.is_set()
    assert not heard.lost.is_set()
    assert registry.servers == [heard]


def test_a_server_that_comes_back_at_another_address_is_another_server() -> None:
    """Requests to the old address will not be answered: they are lost at once, not at their deadline."""
    registry = registry_at(Policy(1, 0))
    old = beat(registry, "a", port=1)
    new = beat(registry, "a", port=2)
    assert old.lost.is_set()
    assert new is not old
    assert registry.servers == [new]


def test_the_least_loaded_server_takes_the_next_group() -> None:
    """Groups go where fewest samples are in flight; to no server without room, unless it has nothing to do."""
    registry = registry_at(Policy(1, 0))
    a, b = beat(registry, "a"), beat(registry, "b")
    a.in_flight, b.in_flight = 8, 4
    assert registry.choose(8) is b
    assert registry.choose(8, avoid=[b]) is a
    b.in_flight = 12
    assert registry.choose(8) is a
    a.in_flight = 12
    assert registry.choose(8) is None
    b.in_flight = 0
    assert registry.choose(100) is b


def test_a_server_to_avoid_is_better_than_none() -> None:
    """When the only server failed once, it is asked again once it says that it is ready."""
    registry = registry_at(Policy(1, 0))
    only = beat(registry, "a")
    registry.doubt(only)
    assert registry.choose(1, avoid=[only]) is None
    beat(registry, "a")
    assert registry.choose(1, avoid=[only]) is only


async def test_who_waits_gets_the_server_that_becomes_current() -> None:
    """A reservation waits through heartbeats of a server behind, and ends with the receipt of its take-over."""
    registry = registry_at(Policy(1, 3))
    waiting = asyncio.create_task(registry.reserve(4, (), deadline_seconds=5))
    await asyncio.sleep(0)
    server = beat(registry, "a", Policy(1, 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    registry.took_over(server, Policy(1, 3))
    assert await asyncio.wait_for(waiting, 5) is server
    assert server.in_flight == 4
    registry.release(server, 4)
    assert server.in_flight == 0


async def test_waiting_ends_at_the_deadline() -> None:
    """With no current server the wait is bounded."""
    clock = Clock()
    registry = registry_at(Policy(1, 0), clock)
    waiting = asyncio.create_task(registry.reserve(1, (), deadline_seconds=30))
    await asyncio.sleep(0)
    clock.now += 31
    beat(registry, "a", ready=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 5)


def test_a_run_that_begins_with_a_checkpoint_has_no_server_that_is_current_of_itself() -> None:
    """The base model is not what its version 0 is: a server must have taken that over first."""
    one = RolloutRegistry(Policy(1, 0), lambda: 0.0, begins_with_base_model=False)
    server = beat(one, "a", Policy(0, 0))
    assert one.current == []
    one.took_over(server, Policy(1, 0))
    assert one.current == [server]
