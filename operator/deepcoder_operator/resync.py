"""Full and partial lists into the index: what the watches missed is found here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deepcoder_operator.cluster import Cluster
from deepcoder_operator.errors import NotFoundError
from deepcoder_operator.index import Index, Key
from deepcoder_operator.kinds import CHILDREN, RESOURCES
from deepcoder_operator.labels import OWNER_UID, SELECTOR


async def list_everything(cluster: Cluster, index: Index, namespaces: Sequence[str]) -> list[Key]:
    """List every kind, one after the other. Returns all resources, and those that turned out to be gone."""
    gone: list[Key] = []
    for kind in (*CHILDREN, *RESOURCES):
        selector = SELECTOR if kind in CHILDREN else ""
        uids: set[str] = set()
        versions: list[int] = []
        for namespace in namespaces or (None,):
            found, version = await _list(cluster, index, kind, namespace, selector)
            uids |= found
            versions.append(version)
        gone += index.keep_only(kind, uids, min(versions))
    return [*(seen.key for seen in index.resources()), *gone]


async def read_again(cluster: Cluster, index: Index, key: Key, uid: str, also: Key | None = None) -> None:
    """Read a resource and all its children from the API server, past every cache; `also` is a run it depends on."""
    await asyncio.gather(
        read_resource(cluster, index, key),
        *((read_resource(cluster, index, also),) if also is not None else ()),
        *(_list_of(cluster, index, key.namespace, kind, uid) for kind in CHILDREN),
    )


async def read_resource(cluster: Cluster, index: Index, key: Key) -> None:
    """Read one resource from the API server."""
    try:
        index.put(key.kind, await cluster.get(key.kind, key.namespace, key.name))
    except NotFoundError:
        seen = index.resource(key)
        if seen is not None:
            index.remove(key.kind, seen.document())


async def _list_of(cluster: Cluster, index: Index, namespace: str, kind: str, uid: str) -> None:
    found, version = await _list(cluster, index, kind, namespace, f"{OWNER_UID}={uid}")
    index.keep_only_of(uid, kind, found, version)


async def _list(
    cluster: Cluster, index: Index, kind: str, namespace: str | None, selector: str
) -> tuple[set[str], int]:
    uids: set[str] = set()
    version = "0"
    async for page in cluster.pages(kind, namespace, selector):
        version = page.version
        for item in page.items:
            uids.add(item["metadata"]["uid"])
            index.put(kind, item)
    return uids, int(version) if version.isdigit() else 0
