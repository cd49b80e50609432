"""Holds on checkpoints: who reads one says so beside it, and the run that wrote it does not prune it meanwhile.

A hold expires unless it is renewed, so that one whose holder was deleted keeps no checkpoint for ever. Who takes a hold
looks afterwards whether the checkpoint is still whole, and who prunes looks again for holds after the checkpoint has
stopped being whole: however the two meet, either the checkpoint stays or the holder sees that it is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError

from deepcoder_api.artifacts import COMPLETE, Hold, holds_folder
from deepcoder_data.folders import delete_completed
from deepcoder_data.store import ObjectMissingError, ObjectStore

HOLD_SECONDS = 24 * 3600.0
RENEW_SECONDS = 3600.0
_MODEL = re.compile(r"^(s3://.+/checkpoints/step-\d+)/model/?$")
Clock = Callable[[], datetime]
log = structlog.get_logger("holds")


def now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


def checkpoint_of(model_uri: str) -> str | None:
    """The checkpoint that a model is a part of; None for a model that is none's."""
    found = _MODEL.match(model_uri)
    return found[1] if found else None


@dataclass(frozen=True)
class CheckpointHold:
    """One holder's hold on one checkpoint; `id` tells it from the others'."""

    store: ObjectStore
    checkpoint: str
    id: str
    holder: str
    clock: Clock = now

    @property
    def uri(self) -> str:
        """Where it lies."""
        return f"{holds_folder(self.checkpoint)}/{self.id}.json"

    def take(self) -> None:
        """Take it, or take it anew. Raises StoreError."""
        until = self.clock() + timedelta(seconds=HOLD_SECONDS)
        hold = Hold(holder=self.holder, expires=until.isoformat(timespec="seconds"))
        self.store.put_bytes(self.uri, hold.model_dump_json().encode())

    def release(self) -> None:
        """Give it up; one that is not there is no error. Raises StoreError."""
        self.store.delete(self.uri)


def holders(store: ObjectStore, checkpoint: str, clock: Clock = now) -> list[str]:
    """Who holds a checkpoint now. Raises StoreError."""
    found: list[str] = []
    for entry in store.list(holds_folder(checkpoint)):
        try:
            hold = Hold.model_validate_json(store.get_bytes(entry.uri))
            if datetime.fromisoformat(hold.expires) > clock():
                found.append(hold.holder)
        except ObjectMissingError:
            continue  # released a moment ago
        except (ValidationError, ValueError, TypeError) as error:
            log.warning("a hold cannot be read and counts", uri=entry.uri, error=str(error)[:300])
            found.append(entry.uri)
    return found


def delete_unless_held(store: ObjectStore, checkpoint: str, clock: Clock = now) -> list[str]:
    """Delete a completed checkpoint and its expired holds, or leave it; who holds it comes back. Raises StoreError."""
    if held := holders(store, checkpoint, clock):
        return held
    marker = store.get_bytes(f"{checkpoint}/{COMPLETE}")
    store.delete(f"{checkpoint}/{COMPLETE}")
    if held := holders(store, checkpoint, clock):
        store.put_bytes(f"{checkpoint}/{COMPLETE}", marker)
        return held
    delete_completed(store, checkpoint)
    store.delete_folder(holds_folder(checkpoint))
    return []
