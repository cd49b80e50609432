"""kopf's part: it watches, and its handlers put what they saw into the index and a key on the queue. Nothing else.

No handler of kopf's that remembers: no finalizer, no annotation, no Event and no peering object is ever written by it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from deepcoder_operator.index import Index, Key, owner_key, resource_key
from deepcoder_operator.kinds import CHILDREN, RESOURCES, SERVED
from deepcoder_operator.labels import SELECTOR
from deepcoder_operator.projection import Body

PAGE_SIZE = 250
REQUEST_SECONDS = 30.0

Wake = Callable[[Key], None]


async def watch(index: Index, wake: Wake, configuration: Configuration, namespaces: Sequence[str]) -> None:
    """Watch until the process is told to end (SIGTERM, SIGINT). Raises what kopf cannot recover from."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(functools.partial(_login, configuration))
    for kind in (*RESOURCES, *CHILDREN):
        group, _, version = SERVED[kind].api_version.rpartition("/")
        handler = functools.partial(_saw, index, wake, kind)
        kopf.on.event(group, version, SERVED[kind].plural, id=f"saw-{kind}", registry=registry)(handler)
    await kopf.operator(
        registry=registry,
        settings=_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
    )


async def _saw(index: Index, wake: Wake, kind: str, *, event: Body, body: Body, **_: Any) -> None:
    if event["type"] == "DELETED":
        index.remove(kind, body)
    else:
        index.put(kind, body)
    key = resource_key(kind, body) if kind in RESOURCES else owner_key(body)
    if key is None:
        return
    wake(key)
    if kind == "TrainingRun":
        for waiting in index.waiting_for(key):
            wake(waiting)


async def _login(configuration: Configuration, **_: Any) -> kopf.ConnectionInfo:
    # The client library's own credentials, so that there is one place that finds and renews them.
    header = await configuration.get_api_key_with_prefix("BearerToken")
    token = header.split(" ", 1)[-1].strip() if header else None
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=token,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # The definitions and the namespaces are known; watching them would need rights over the whole cluster.
    settings.scanning.disabled = True
    settings.watching.chunk_size = PAGE_SIZE
    settings.watching.connect_timeout = REQUEST_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.queueing.idle_timeout = 1.0
    for kind in CHILDREN:
        group, _, version = SERVED[kind].api_version.rpartition("/")
        settings.watching.label_selectors[group, version, SERVED[kind].plural] = SELECTOR
    return settings
