"""A cache of models that pods share, filled from a real S3 server."""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepcoder_data import model_cache
from deepcoder_data.model_cache import fetch_through_cache
from deepcoder_data.models import model_digest
from deepcoder_data.store import ObjectStore, StoreUnavailableError
from tests.model_folders import contents


class Counting:
    """A store that counts what is fetched, and breaks off the n-th file when asked to."""

    def __init__(self, store: ObjectStore, breaks_at: int = 0) -> None:
        self._store = store
        self._breaks_at = breaks_at
        self.fetched: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def download_file(self, uri: str, file: Path) -> None:
        self.fetched.append(uri)
        if len(self.fetched) == self._breaks_at:
            raise StoreUnavailableError("killed")
        self._store.download_file(uri, file)


@pytest.fixture
def uri(store: ObjectStore, folder: str, model_folder: Path) -> str:
    """A model in the bucket."""
    for name, content in contents(model_folder).items():
        store.put_bytes(f"{folder}/base/{name}", content)
    return f"{folder}/base"


def test_many_pods_fetch_a_model_once(store: ObjectStore, uri: str, model_folder: Path, tmp_path: Path) -> None:
    """Together and one after the other; each has it as links, and nothing but the model is in its folder."""
    counting = Counting(store)
    (tmp_path / "cache").mkdir()

    def pod(number: int) -> dict[str, bytes]:
        to = tmp_path / f"pod-{number}"
        fetch_through_cache(counting, uri, to, tmp_path / "cache")  # type: ignore[arg-type]
        assert all(path.is_symlink() for path in to.iterdir())
        return contents(to)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(pod, range(4)))
    assert [*together, pod(5)] == [contents(model_folder)] * 5
    assert sorted(counting.fetched) == sorted(f"{uri}/{name}" for name in contents(model_folder))


def test_what_a_killed_pod_fetched_is_gone_on_with(
    store: ObjectStore, uri: str, model_folder: Path, tmp_path: Path
) -> None:
    """Half a model is no model: nobody is given it, and the next pod fetches what is missing."""
    (tmp_path / "cache").mkdir()
    killed = Counting(store, breaks_at=3)
    with pytest.raises(StoreUnavailableError):
        fetch_through_cache(killed, uri, tmp_path / "one", tmp_path / "cache")  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")] == []
    fetch_through_cache(store, uri, tmp_path / "two", tmp_path / "cache")
    assert contents(tmp_path / "two") == contents(model_folder)


def test_a_model_that_changed_is_another(store: ObjectStore, uri: str, tmp_path: Path) -> None:
    """The old one stays for who reads it."""
    (tmp_path / "cache").mkdir()
    fetch_through_cache(store, uri, tmp_path / "one", tmp_path / "cache")
    before = contents(tmp_path / "one")
    store.put_bytes(f"{uri}/added_tokens.json", b"{}")
    fetch_through_cache(store, uri, tmp_path / "two", tmp_path / "cache")
    assert contents(tmp_path / "one") == before
    assert contents(tmp_path / "two") == {**before, "added_tokens.json": b"{}"}


def test_a_wait_for_another_pod_has_an_end(
    store: ObjectStore, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told which file is locked; another try may go better."""
    monkeypatch.setattr(model_cache, "POLL_SECONDS", 0.01)
    cache = tmp_path / "cache"
    cache.mkdir()
    name = str(model_digest(store, uri)).replace(":", "-")
    with (cache / f".{name}.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailableError, match=r"another pod has fetched it for 0 s: .*\.lock"):
            fetch_through_cache(store, uri, tmp_path / "one", cache, wait_seconds=0.05)
