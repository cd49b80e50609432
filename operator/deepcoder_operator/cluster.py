"""The API server, over kubernetes' own asyncio client. Every foreign error becomes one of errors.py's. No rules."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import ApiClient, Configuration

from deepcoder_operator.errors import RetryableError, from_response
from deepcoder_operator.kinds import url_path

Document = dict[str, Any]

REQUEST_SECONDS = 30.0
PAGE_SIZE = 250
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


class ClusterUnknownError(Exception):
    """There is neither a pod's service account nor a kubeconfig. The operator cannot start."""


@dataclass(frozen=True)
class Page:
    """A part of a list. `version` is the resourceVersion of the whole list."""

    items: list[Document]
    version: str


class Cluster:
    """The calls that the operator makes. All raise ClusterError's children."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._api: Any = ApiClient(configuration)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def get(self, kind: str, namespace: str | None, name: str) -> Document:
        """The object as it is now."""
        return await self._json("GET", url_path(kind, namespace, name), f"read {kind} {name}")

    async def create(self, document: Document) -> Document:
        """Create the object. Raises AlreadyExistsError when the name is taken."""
        kind, meta = document["kind"], document["metadata"]
        what = f"create {kind} {meta['name']}"
        return await self._json("POST", url_path(kind, meta.get("namespace")), what, body=document)

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object of this uid; what it owns goes in the background.

        Raises NotFoundError when the name is free and ConflictError when another object has it by now.
        """
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._json("DELETE", url_path(kind, namespace, name), f"delete {kind} {name}", body=options)

    async def patch(self, kind: str, namespace: str, name: str, uid: str, changes: Mapping[str, Any]) -> Document:
        """Merge `changes` into the object of this uid. Raises ConflictError when the uid is another's."""
        body = {**changes, "metadata": {"uid": uid}}
        path = url_path(kind, namespace, name)
        return await self._json("PATCH", path, f"patch {kind} {name}", body=body, content_type=_MERGE_PATCH)

    async def write_status(self, document: Document) -> Document:
        """Replace the status. Raises ConflictError when the object changed since the given resourceVersion."""
        kind, meta = document["kind"], document["metadata"]
        path = url_path(kind, meta["namespace"], meta["name"], "status")
        return await self._json("PUT", path, f"write the status of {kind} {meta['name']}", body=document)

    async def pages(self, kind: str, namespace: str | None, selector: str = "") -> AsyncIterator[Page]:
        """All objects of a kind, a page at a time, so that never more than one page is held."""
        following = ""
        while True:
            query = {"limit": str(PAGE_SIZE)}
            query |= {"labelSelector": selector} if selector else {}
            query |= {"continue": following} if following else {}
            answer = await self._json("GET", url_path(kind, namespace), f"list {kind}", query=query)
            meta = cast("Mapping[str, str]", answer.get("metadata") or {})
            yield Page(cast("list[Document]", answer.get("items") or []), meta.get("resourceVersion", "0"))
            following = meta.get("continue", "")
            if not following:
                return

    async def log_tail(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines that a container wrote."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": "65536"}
        path = url_path("Pod", namespace, pod, "log")
        text = await self._call("GET", path, f"read the log of pod {pod}", query=query)
        return text.decode(errors="replace")

    async def _json(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
    ) -> Document:
        answer = await self._call(method, path, what, query=query, body=body, content_type=content_type)
        return cast("Document", json.loads(answer))

    async def _call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = _JSON,
    ) -> bytes:
        headers: dict[str, str] = {**self._api.default_headers, "Accept": _JSON, "Content-Type": content_type}
        url = f"{self.configuration.host}{path}{'?' + urlencode(query) if query else ''}"
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            response = await self._api.call_api(method, url, headers, body, _request_timeout=timeout)
            content = cast("bytes", await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, kubernetes_config.ConfigException) as error:
            raise RetryableError(what, 0, str(error) or type(error).__name__) from error
        if response.status >= 400:
            raise from_response(what, method, response.status, content)
        return content


@asynccontextmanager
async def connect() -> AsyncGenerator[Cluster]:
    """The cluster that this process runs in, or that KUBECONFIG names. Raises ClusterUnknownError."""
    cluster = Cluster(await _configuration())
    try:
        yield cluster
    finally:
        await cluster.close()


async def _configuration() -> Configuration:
    configuration = Configuration()
    loaders = cast("Any", kubernetes_config)
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            # It reads a renewed token from its file by itself.
            loaders.load_incluster_config(configuration)
        else:
            file = os.environ.get("KUBECONFIG") or None
            await loaders.load_kube_config(config_file=file, client_configuration=configuration)
    except (kubernetes_config.ConfigException, OSError) as error:
        raise ClusterUnknownError(f"no cluster to work on: {error}") from error
    return configuration
