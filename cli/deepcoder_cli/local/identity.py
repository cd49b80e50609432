"""Who a local run is: a uid and a count of attempts, kept in its state folder so that a second call goes on with it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.problems import Strict, canonical_json
from deepcoder_api.training_run import TrainingRunSpec


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
    """The numbers of the next attempts. They go on over calls: a number fences the writers of every earlier one."""
    while (kept := _kept(folder)) is not None:
        kept = kept.model_copy(update={"attempt": kept.attempt + 1})
        _keep(kept, folder)
        yield kept.attempt


def _kept(folder: Path) -> Identity | None:
    try:
        return Identity.model_validate_json((folder / "identity.json").read_text())
    except FileNotFoundError:
        return None


def _keep(identity: Identity, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identity.json").write_text(identity.model_dump_json(indent=1))
