"""Who a local run is: a uid and a count of attempts, kept in its state folder so that a second call goes on with it."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.problems import Strict, canonical_json
from deepcoder_api.training_run import TrainingRunSpec

# A full disk ends an attempt; the next waits so long for room.
ROOM_SECONDS = 900.0
PAUSE_SECONDS = 1.0


class Identity(Strict):
    """What `identity.json` of a state folder holds. A changed specification is another run, as in Kubernetes."""

    uid: str
    specification: str
    attempt: int = 0


def identity_of(spec: TrainingRunSpec | EvaluationSpec, folder: Path) -> Identity:
    """The identity of what `folder` holds; a new one when there is none, or it is of another specification."""
    digest = hashlib.sha256(canonical_json(spec).encode()).hexdigest()
    kept = _kept(folder)
    if kept is None or kept.specification != digest:
        kept = Identity(uid=uuid.uuid4().hex, specification=digest)
        _keep(kept, folder)
    return kept


def attempts(folder: Path) -> Iterator[int]:
    """The numbers of the next attempts. They go on over calls: a number fences the writers of every earlier one.

    None is given before it is kept: a full disk is waited for. Raises OSError when that does not help.
    """
    while (kept := _kept(folder)) is not None:
        kept = kept.model_copy(update={"attempt": kept.attempt + 1})
        _keep_once_there_is_room(kept, folder)
        yield kept.attempt


def _kept(folder: Path) -> Identity | None:
    try:
        return Identity.model_validate_json((folder / "identity.json").read_text())
    except FileNotFoundError:
        return None


def _keep_once_there_is_room(identity: Identity, folder: Path) -> None:
    deadline = time.monotonic() + ROOM_SECONDS
    while True:
        try:
            return _keep(identity, folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _keep(identity: Identity, folder: Path) -> None:
    """Whole or not at all: whoever loses the uid loses the run."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "identity.json.unfinished"
    unfinished.write_text(identity.model_dump_json(indent=1))
    os.replace(unfinished, folder / "identity.json")
