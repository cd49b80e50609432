"""Holds on checkpoints, on a real S3 server: who prunes and who measures meet in every order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deepcoder_data.folders import commit_folder, read_completion
from deepcoder_data.holds import HOLD_SECONDS, CheckpointHold, checkpoint_of, delete_unless_held, holders
from deepcoder_data.store import ObjectStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> Callable[[], datetime]:
    """A clock that stands so long after noon."""
    return lambda: NOON + timedelta(seconds=seconds)


@pytest.fixture
def checkpoint(store: ObjectStore, folder: str, tmp_path: Path) -> str:
    """A checkpoint that is whole."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x.safetensors").write_text("weights")
    uri = f"{folder}/runs/team/tiny/0123/checkpoints/step-000002"
    commit_folder(store, tmp_path, uri)
    return uri


def hold(store: ObjectStore, checkpoint: str, id: str = "one", seconds: float = 0.0) -> CheckpointHold:
    """A hold that is taken at noon or later."""
    return CheckpointHold(store, checkpoint, id, f"Evaluation team/{id}", at(seconds))


@pytest.mark.parametrize(
    ("model", "checkpoint"),
    [
        ("s3://b/p/runs/n/r/u/checkpoints/step-000120/model", "s3://b/p/runs/n/r/u/checkpoints/step-000120"),
        ("s3://b/p/checkpoints/step-000120/model/", "s3://b/p/checkpoints/step-000120"),
        ("s3://b/base-0/model", None),
        ("hf://org/checkpoints/step-1/model", None),
    ],
)
def test_a_model_may_be_part_of_a_checkpoint(model: str, checkpoint: str | None) -> None:
    """By where it lies, whoever names it."""
    assert checkpoint_of(model) == checkpoint


def test_what_nobody_holds_is_deleted_whole(store: ObjectStore, checkpoint: str, folder: str) -> None:
    """Nothing of it is left."""
    assert delete_unless_held(store, checkpoint) == []
    assert list(store.list(folder)) == []


def test_what_somebody_holds_stays_until_the_last_gives_it_up(store: ObjectStore, checkpoint: str, folder: str) -> None:
    """Two evaluations of one checkpoint; holds lie beside the checkpoints, which are not taken for unfinished ones."""
    one, other = hold(store, checkpoint), hold(store, checkpoint, "other")
    one.take()
    other.take()
    assert one.uri == f"{folder}/runs/team/tiny/0123/holds/step-000002/one.json"
    assert delete_unless_held(store, checkpoint, at(1)) == ["Evaluation team/one", "Evaluation team/other"]
    one.release()
    assert delete_unless_held(store, checkpoint, at(1)) == ["Evaluation team/other"]
    assert read_completion(store, checkpoint) is not None
    other.release()
    assert delete_unless_held(store, checkpoint, at(1)) == []
    assert list(store.list(folder)) == []


def test_a_hold_that_is_not_renewed_expires(store: ObjectStore, checkpoint: str, folder: str) -> None:
    """An evaluation that was deleted keeps no checkpoint for ever; one that lives takes its hold anew."""
    hold(store, checkpoint).take()
    assert holders(store, checkpoint, at(HOLD_SECONDS - 1)) == ["Evaluation team/one"]
    hold(store, checkpoint, seconds=3600).take()
    assert holders(store, checkpoint, at(HOLD_SECONDS + 1)) == ["Evaluation team/one"]
    assert delete_unless_held(store, checkpoint, at(HOLD_SECONDS + 3600)) == []
    assert list(store.list(folder)) == []


def test_a_hold_that_cannot_be_read_counts(store: ObjectStore, checkpoint: str) -> None:
    """A newer version may have written it."""
    one = hold(store, checkpoint)
    store.put_bytes(one.uri, b'{"holder": "somebody", "expires": "soon"}')
    assert delete_unless_held(store, checkpoint) == [one.uri]


class Meeting:
    """A store in which somebody takes a hold just before or after the marker is deleted."""

    def __init__(self, store: ObjectStore, take: Callable[[], None], *, after: bool) -> None:
        self._store = store
        self._take = take
        self._after = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def delete(self, uri: str) -> None:
        if not self._after:
            self._take()
        self._store.delete(uri)
        if self._after:
            self._take()


@pytest.mark.parametrize("after", [False, True])
def test_one_that_comes_in_the_middle_of_a_deletion_keeps_its_checkpoint(
    store: ObjectStore, checkpoint: str, after: bool
) -> None:
    """The marker is put back as it was; the files were not touched yet."""
    before = read_completion(store, checkpoint)
    meeting = Meeting(store, hold(store, checkpoint).take, after=after)
    assert delete_unless_held(meeting, checkpoint, at(1)) == ["Evaluation team/one"]  # type: ignore[arg-type]
    assert read_completion(store, checkpoint) == before
    assert store.exists(f"{checkpoint}/model/x.safetensors")
