"""The faults: each strikes a running `deepcoder run` once, ends by itself, and says in words what it did."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from benchmarks.trainer_kills import targets
from benchmarks.trainer_kills.proxy import FaultyWay, Way
from benchmarks.trainer_kills.scarce_disk import ScarceDisk
from benchmarks.trainer_kills.targets import Running


@dataclass(frozen=True)
class Scene:
    """What there is to strike, and for how long the faults that last do so, in seconds."""

    root: int
    way: FaultyWay
    disk: ScarceDisk
    away_seconds: float
    slow_seconds: float
    full_seconds: float


@dataclass(frozen=True)
class Fault:
    """A fault and how many attempts more it may cost, at least and at most."""

    name: str
    strike: Callable[[Scene, random.Random], Awaitable[str]]
    least_attempts: int
    most_attempts: int


class NothingToStrikeError(Exception):
    """No process of the kind is there: the run is not as healthy as its steps say."""


async def kill_trainer(scene: Scene, dice: random.Random) -> str:
    """A trainer pod's own process; the kernel ends what it started."""
    pod = _one(targets.trainers(targets.processes(scene.root)), dice, "trainer")
    targets.kill([pod.pid])
    return f"SIGKILL to trainer pod {pod.after('--replica-index')}"


async def kill_rank(scene: Scene, dice: random.Random) -> str:
    """One rank of two; torchrun and the orchestrator live."""
    ranks = sorted(targets.ranks(targets.processes(scene.root)), key=lambda rank: rank.pid)
    rank = _one(ranks, dice, "rank")
    targets.kill([rank.pid])
    return f"SIGKILL to rank process {ranks.index(rank)} of {len(ranks)}"


async def kill_rollout(scene: Scene, dice: random.Random) -> str:
    """A whole rollout server, or vLLM below an agent that lives."""
    agent = _one(targets.rollouts(targets.processes(scene.root)), dice, "rollout server")
    if dice.random() < 0.5:
        return f"SIGKILL to a rollout server, {targets.kill_tree(agent.pid)} processes"
    return f"SIGKILL to vLLM below its agent, {targets.kill(targets.descendants(agent.pid))} processes"


async def kill_sandbox(scene: Scene, dice: random.Random) -> str:
    """All processes of the grading server at once."""
    server = _one(targets.sandboxes(targets.processes(scene.root)), dice, "grading server")
    return f"SIGKILL to the grading server, {targets.kill_tree(server.pid)} processes"


async def take_s3_away(scene: Scene, dice: random.Random) -> str:
    """It refuses, or it takes connections and says nothing."""
    way = dice.choice([Way.REFUSING, Way.SILENT])
    await _for_a_while(scene.way, way, scene.away_seconds)
    return f"S3 {way} for {scene.away_seconds:g} s"


async def slow_s3(scene: Scene, dice: random.Random) -> str:
    """Every chunk late, and few bytes a second."""
    before = scene.way.bytes
    await _for_a_while(scene.way, Way.SLOW, scene.slow_seconds)
    return f"S3 slow for {scene.slow_seconds:g} s, {(scene.way.bytes - before) // 1024:,} KiB passed"


async def fill_disk(scene: Scene, dice: random.Random) -> str:
    """No byte is left where logs, batches and checkpoints are written."""
    try:
        taken = await asyncio.to_thread(scene.disk.fill)
        await asyncio.sleep(scene.full_seconds)
    finally:
        scene.disk.free()
    return f"disk full for {scene.full_seconds:g} s ({taken} MiB taken)"


FAULTS = (
    Fault("trainer", kill_trainer, 1, 1),
    Fault("rank", kill_rank, 1, 1),
    Fault("rollout", kill_rollout, 0, 0),
    Fault("sandbox", kill_sandbox, 0, 0),
    Fault("s3-away", take_s3_away, 0, 0),
    Fault("s3-slow", slow_s3, 0, 0),
    Fault("disk-full", fill_disk, 0, 3),  # what cannot be written may end attempts, until there is room again
)


async def _for_a_while(faulty: FaultyWay, way: Way, seconds: float) -> None:
    await faulty.become(way)
    try:
        await asyncio.sleep(seconds)
    finally:
        await faulty.become(Way.OPEN)


def _one(found: Sequence[Running], dice: random.Random, what: str) -> Running:
    if not found:
        raise NothingToStrikeError(f"there is no {what} to kill")
    return dice.choice(found)
