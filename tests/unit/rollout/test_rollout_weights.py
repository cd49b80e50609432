"""Fetching a version: whole and checked, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import httpx
import pytest

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import WeightOrder
from deepcoder_rollout.weights import FetchFailedError, fetch

FILES = {"model-1.safetensors": b"a" * 3000, "model-2.safetensors": b"b" * 10}


def order(deadline_seconds: float = 10.0, **changes: bytes) -> WeightOrder:
    """An order of FILES; `changes` are by file stem the content that its digest is of."""
    return WeightOrder(
        attempt=1,
        version=3,
        base_url="http://trainer:8700/v1/weights/3",
        files=tuple(
            FileDigest(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in ((name, changes.get(name[6], content)) for name, content in FILES.items())
        ),
        deadline_seconds=deadline_seconds,
    )


def serve(request: httpx.Request) -> httpx.Response:
    content = FILES.get(request.url.path.removeprefix("/v1/weights/3/"))
    return httpx.Response(200, content=content) if content else httpx.Response(404)


async def fetched(order: WeightOrder, folder: Path, answer=serve) -> int:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        return await fetch(order, folder, client)


async def test_all_files_arrive_in_a_fresh_folder(tmp_path: Path) -> None:
    """What an earlier order left there is gone; the bytes of all files are told."""
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "old.safetensors").write_bytes(b"old")
    assert await fetched(order(), folder) == 3010
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


@pytest.mark.parametrize(
    ("announced", "said"), [({"2": b"c" * 10}, "model-2.*checksum"), ({"1": b"a"}, "model-1.*3000 bytes arrived")]
)
async def test_a_file_that_is_not_what_was_announced_fails_the_fetch(
    tmp_path: Path, announced: dict[str, bytes], said: str
) -> None:
    """Another content of the same size, another size: one error of our own, that names file and version."""
    with pytest.raises(FetchFailedError, match=rf"version 3: .*{said}"):
        await fetched(order(**announced), tmp_path / "version")


async def test_a_trainer_that_no_longer_has_the_version_fails_the_fetch(tmp_path: Path) -> None:
    """Its status is told; several files that fail are still one failure."""
    with pytest.raises(FetchFailedError, match="the trainer answered 404"):
        await fetched(order(), tmp_path / "version", lambda _: httpx.Response(404))


async def test_a_broken_connection_fails_the_fetch(tmp_path: Path) -> None:
    """The order may be given again."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("connection reset")

    with pytest.raises(FetchFailedError, match="connection reset"):
        await fetched(order(), tmp_path / "version", broken)


async def test_the_deadline_ends_a_fetch_that_hangs(tmp_path: Path) -> None:
    """A trainer that accepts and sends nothing does not hold the server."""

    async def hanging(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(FetchFailedError, match="did not arrive within 0 s"):
        await fetched(order(deadline_seconds=0.05), tmp_path / "version", hanging)


async def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    """Whatever path an order names, the file lands in the version's folder."""
    outside = FileDigest(path="../../evil", bytes=4, sha256=hashlib.sha256(b"evil").hexdigest())
    await fetched(
        order().model_copy(update={"files": (outside,)}),
        tmp_path / "a" / "b",
        lambda _: httpx.Response(200, content=b"evil"),
    )
    found = await asyncio.to_thread(lambda: list(tmp_path.rglob("evil")))
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/b/evil"]
