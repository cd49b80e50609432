"""The fence of a run: head.json names the attempt that may commit and the last committed checkpoint."""

from __future__ import annotations

from deepcoder_api.artifacts import Head
from deepcoder_data.store import ConflictError, ObjectMissingError, ObjectStore, StoreError

RETRIES = 5


class FencedError(StoreError):
    """A newer attempt has taken over; this one must write nothing more."""


def read_head(store: ObjectStore, uri: str) -> tuple[Head, str] | None:
    """The head and its ETag, or None before the first attempt."""
    try:
        content, etag = store.get_with_etag(uri)
    except ObjectMissingError:
        return None
    return Head.model_validate_json(content), etag


def claim_head(store: ObjectStore, uri: str, attempt: int) -> Head:
    """Take over the run for `attempt` and return the head, with the checkpoint to go on from. Raises FencedError."""
    for _ in range(RETRIES):
        found = read_head(store, uri)
        head = Head(attempt=attempt) if found is None else _taken_over(found[0], attempt, uri)
        try:
            _put(store, uri, head, found[1] if found else None)
        except ConflictError:
            continue  # another claim came between; look again
        return head
    raise ConflictError(f"{uri}: the head changed {RETRIES} times while attempt {attempt} claimed it")


def advance_head(store: ObjectStore, uri: str, *, attempt: int, checkpoint: str, step: int, time: str) -> Head:
    """Commit a checkpoint. Raises FencedError when a newer attempt has taken over."""
    for _ in range(RETRIES):
        found = read_head(store, uri)
        if found is None or found[0].attempt != attempt:
            owner = "nobody" if found is None else f"attempt {found[0].attempt}"
            raise FencedError(f"{uri}: {owner} owns the run; attempt {attempt} may commit no more")
        head = Head(attempt=attempt, checkpoint=checkpoint, step=step, time=time)
        try:
            _put(store, uri, head, found[1])
        except ConflictError:
            continue  # either another claim, seen on the next look, or our own put whose answer was lost
        return head
    raise ConflictError(f"{uri}: the head changed {RETRIES} times while attempt {attempt} committed step {step}")


def _taken_over(head: Head, attempt: int, uri: str) -> Head:
    if head.attempt > attempt:
        raise FencedError(f"{uri}: attempt {head.attempt} owns the run; attempt {attempt} came too late")
    return head.model_copy(update={"attempt": attempt})


def _put(store: ObjectStore, uri: str, head: Head, etag: str | None) -> None:
    content = head.model_dump_json(indent=1).encode()
    store.put_bytes(uri, content, if_match=etag, if_absent=etag is None)
