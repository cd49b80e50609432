"""The server of a trainer pod's shards: what it gives, and what it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deepcoder_trainer.weight_server import application, version_folder
from tests.shard_sources import serving

ATTEMPT = 3
SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    folder = version_folder(tmp_path / "weights", 4)
    folder.mkdir(parents=True)
    (folder / SHARD).write_bytes(b"weights" * 1000)
    (folder / "notes.txt").write_bytes(b"not weights")
    (tmp_path / "weights/secret.safetensors").write_bytes(b"secret")
    async with (
        serving(application(tmp_path / "weights", ATTEMPT)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        yield client


async def test_a_published_shard_is_served_whole(http: httpx.AsyncClient) -> None:
    """By attempt, version and name, with its length told before it."""
    answer = await http.get(f"/v1/weights/{ATTEMPT}/4/{SHARD}")
    assert (answer.status_code, answer.content) == (200, b"weights" * 1000)
    assert answer.headers["content-length"] == "7000"


@pytest.mark.parametrize(
    "path",
    [
        f"3/5/{SHARD}",  # a version that is not here
        f"2/4/{SHARD}",  # another attempt's
        f"4/4/{SHARD}",
        "3/4/other.safetensors",
        "3/4/notes.txt",
        "3/4/..%2Fsecret.safetensors",
        "3/4/%2E%2E%2Fsecret.safetensors",
        "3/..%2F..%2Fversion-4/x.safetensors",
        "3/-1/x.safetensors",
    ],
)
async def test_nothing_else_is_served(http: httpx.AsyncClient, path: str) -> None:
    """404: no other file, version or attempt, and no way out of the folder."""
    assert (await http.get(f"/v1/weights/{path}")).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_only_reads(http: httpx.AsyncClient, method: str) -> None:
    """Whoever may read shards can change none."""
    answer = await http.request(method, f"/v1/weights/{ATTEMPT}/4/{SHARD}", content=b"x")
    assert answer.status_code == 405


async def test_it_says_that_it_lives(http: httpx.AsyncClient) -> None:
    """As every server of ours."""
    assert (await http.get("/healthz")).status_code == 200
