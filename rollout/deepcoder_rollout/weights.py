"""Fetching a version's files into shared memory while generation goes on, checked against size and sha256."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path

import httpx

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import WeightOrder


class FetchFailedError(Exception):
    """The files could not be had whole before the deadline. The order may be given again."""


async def fetch(order: WeightOrder, folder: Path, client: httpx.AsyncClient) -> int:
    """Bring all files of `order` into `folder`, made anew; returns their bytes. Raises FetchFailedError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)  # noqa: ASYNC240 - one folder in shared memory
    try:
        async with asyncio.timeout(order.deadline_seconds):
            await _fetch_all(order, folder, client)
    except TimeoutError as error:
        raise FetchFailedError(
            f"version {order.version} did not arrive within {order.deadline_seconds:.0f} s"
        ) from error
    return sum(file.bytes for file in order.files)


async def _fetch_all(order: WeightOrder, folder: Path, client: httpx.AsyncClient) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for file in order.files:
                tasks.create_task(_fetch_file(order.base_url, file, folder, client))
    except ExceptionGroup as group:
        if group.split((FetchFailedError, httpx.HTTPError, OSError))[1] is not None:
            raise  # a fault of ours
        raise FetchFailedError(f"version {order.version}: {group.exceptions[0]!r}") from group


async def _fetch_file(base_url: str, file: FileDigest, folder: Path, client: httpx.AsyncClient) -> None:
    target = folder / Path(file.path).name
    digest = hashlib.sha256()
    size = 0
    async with client.stream("GET", f"{base_url}/{file.path}") as response:
        if response.status_code != 200:
            raise FetchFailedError(f"{file.path}: the trainer answered {response.status_code}")
        with target.open("wb") as output:
            async for chunk in response.aiter_bytes(1 << 20):
                digest.update(chunk)
                size += len(chunk)
                output.write(chunk)
    if size != file.bytes or digest.hexdigest() != file.sha256:
        raise FetchFailedError(
            f"{file.path}: {size} bytes arrived with another checksum than the {file.bytes} announced"
        )
