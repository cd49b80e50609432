"""Calls to the store: asked again while they may heal, and every end is one of the orchestrator's own failures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deepcoder_data.head import FencedError
from deepcoder_data.store import AccessDeniedError, BucketMissingError, StoreError, StoreUnavailableError
from deepcoder_trainer.orchestrator import storage
from deepcoder_trainer.orchestrator.failures import StorageFailed, StorageRefused, TakenOver
from deepcoder_trainer.orchestrator.storage import stored

AWAY = StoreUnavailableError("connection refused")


def failing(*errors: Exception) -> tuple[Callable[[], str], list[int]]:
    """A call that fails with each of `errors` in turn and then succeeds; and how often it was made."""
    left, calls = list(errors), []

    def call() -> str:
        calls.append(1)
        if left:
            raise left.pop(0)
        return "content"

    return call, calls


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(storage.asyncio, "sleep", sleep)
    return taken


async def test_a_store_that_comes_back_costs_nothing_but_time(pauses: list[float]) -> None:
    """Pauses double from half a second to 15."""
    call, calls = failing(*[AWAY] * 7)
    assert await stored(call, "read x") == "content"
    assert len(calls) == 8
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


async def test_a_store_that_stays_away_is_a_failure_that_may_heal() -> None:
    """At the deadline, with what was tried and what the store said."""
    call, _ = failing(AWAY, AWAY)
    with pytest.raises(StorageFailed, match="could not read x within 0 s: connection refused"):
        await stored(call, "read x", deadline_seconds=0.1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AccessDeniedError("wrong key"), StorageRefused),
        (BucketMissingError("no bucket"), StorageRefused),
        (FencedError("attempt 3 owns the run"), TakenOver),
    ],
)
async def test_what_asking_again_cannot_heal_is_asked_once(error: StoreError, kind: type[Exception]) -> None:
    """A wrong key, a missing bucket, a run that another attempt owns."""
    call, calls = failing(error)
    with pytest.raises(kind, match=str(error)):
        await stored(call, "read x")
    assert len(calls) == 1


async def test_a_fault_of_the_code_is_not_taken_for_one_of_the_store() -> None:
    """It ends the attempt as what it is."""
    call, calls = failing(KeyError("oops"))
    with pytest.raises(KeyError):
        await stored(call, "read x")
    assert len(calls) == 1
