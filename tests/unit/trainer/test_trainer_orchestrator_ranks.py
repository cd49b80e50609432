"""The command log that ranks read."""

from __future__ import annotations

import asyncio

import pytest

from deepcoder_trainer.orchestrator.failures import RanksFailed, RanksRefused
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.rank_protocol import CommandResult, RankFailure, Stop, Train

TRAIN = Train(step=1, learning_rate=1e-6, tokens_per_microbatch=256)


async def test_every_rank_reads_the_same_commands_in_the_order_they_were_issued() -> None:
    """A command can be read by its index any number of times, also by a rank that waited for it."""
    channel = RankChannel()
    early = asyncio.create_task(channel.read(0, wait_seconds=5))
    issued = [asyncio.create_task(channel.issue(command, 5)) for command in (TRAIN, Stop())]
    assert await early == TRAIN
    assert await channel.read(0, 5) == TRAIN
    assert await channel.read(1, 5) == Stop()
    assert channel.waiting == 2
    channel.finished(1, CommandResult())
    channel.finished(0, CommandResult(metrics={"loss": 2.0}))
    assert (await issued[0]).metrics == {"loss": 2.0}
    assert channel.waiting == 0


async def test_a_rank_that_asks_too_early_is_told_to_ask_again() -> None:
    """The long poll ends with nothing when no command came."""
    assert await RankChannel().read(0, wait_seconds=0.01) is None


async def test_a_result_that_comes_twice_counts_once_and_one_for_nothing_is_refused() -> None:
    """A rank may send its result again when the answer was lost."""
    channel = RankChannel()
    issued = asyncio.create_task(channel.issue(TRAIN, 5))
    await channel.read(0, 5)
    channel.finished(0, CommandResult(metrics={"loss": 1.0}))
    channel.finished(0, CommandResult(metrics={"loss": 9.0}))
    assert (await issued).metrics == {"loss": 1.0}
    with pytest.raises(IndexError):
        channel.finished(1, CommandResult())


@pytest.mark.parametrize(("permanent", "kind"), [(False, RanksFailed), (True, RanksRefused)])
async def test_a_rank_that_gives_up_ends_every_wait(permanent: bool, kind: type[Exception]) -> None:
    """Whoever waits for a result, or issues a command later, gets the first rank's cause."""
    channel = RankChannel()
    waits = [asyncio.create_task(channel.issue(TRAIN, 5)), asyncio.create_task(channel.watch())]
    await channel.read(0, 5)
    channel.failed(RankFailure(rank=3, cause="no memory", permanent=permanent))
    channel.failed(RankFailure(rank=0, cause="others are gone", permanent=not permanent))
    waits.append(asyncio.create_task(channel.issue(Stop(), 5)))
    for wait in waits:
        with pytest.raises(kind, match="rank 3: no memory"):
            await wait


async def test_a_command_not_carried_out_in_time_is_a_failure_that_may_heal() -> None:
    """The wait for the ranks is bounded."""
    with pytest.raises(RanksFailed, match="did not train within 0 s"):
        await RankChannel().issue(TRAIN, 0.01)
