"""A cache of models on a volume that pods share: a model is fetched into it once, and read from there by links.

One pod at a time fetches; the others wait for it. What a pod that was killed has fetched, the next goes on with. A
model has a folder of its own by what tells its content, so that one that changed is another.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from deepcoder_data.fetch_model import fetch_model, link_model
from deepcoder_data.models import model_digest
from deepcoder_data.store import ObjectStore, StoreUnavailableError

WAIT_SECONDS = 6 * 3600.0
POLL_SECONDS = 1.0
log = structlog.get_logger("model_cache")


def fetch_through_cache(
    store: ObjectStore, uri: str, to: Path, cache: Path, wait_seconds: float = WAIT_SECONDS
) -> None:
    """Bring the model at `uri` into the folder `to` as links into `cache`, where it is fetched to unless it is there.

    Raises StoreError, OSError when the cache cannot be written, StoreUnavailableError when another pod fetches for
    longer than `wait_seconds`.
    """
    digest = model_digest(store, uri)
    if digest is None:  # a folder of this machine or of a claim: nothing is copied
        fetch_model(store, uri, to)
        return
    name = digest.replace(":", "-")
    whole = cache / name
    if not whole.is_dir():
        with _alone(cache / f".{name}.lock", uri, wait_seconds):
            if not whole.is_dir():
                partial = cache / f".{name}.partial"
                fetch_model(store, uri, partial)
                partial.rename(whole)
    log.info("model is in the cache", uri=uri, folder=str(whole))
    to.mkdir(parents=True, exist_ok=True)
    link_model(whole, to)


@contextmanager
def _alone(lock: Path, uri: str, wait_seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + wait_seconds
    with lock.open("a") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise StoreUnavailableError(f"{uri}: another pod has fetched it for {wait_seconds:.0f} s: {lock}")
            time.sleep(POLL_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
