"""Posts what the story tells as events.k8s.io Events. A lost Event is logged and changes nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from deepcoder_api.manifest import API_VERSION, GROUP
from deepcoder_operator.cluster import Cluster, Document
from deepcoder_operator.errors import ClusterError, RefusedError
from deepcoder_operator.index import ResourceSeen
from deepcoder_operator.story import Told

_log = structlog.get_logger()


async def tell(cluster: Cluster, resource: ResourceSeen, told: Sequence[Told], now: datetime) -> None:
    """Post the Events, in order."""
    for item in told:
        try:
            await cluster.create(event(resource, item, now))
        except ClusterError as error:
            if isinstance(error, RefusedError) and error.may_heal:
                continue  # The namespace is being deleted, or full: nobody reads it there.
            _log.warning("an Event is lost", resource=str(resource.key), reason=item.reason, error=str(error))


def event(resource: ResourceSeen, told: Told, now: datetime) -> Document:
    """The Event about a resource."""
    key = resource.key
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{uuid.uuid4().hex[:16]}", "namespace": key.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": os.environ.get("HOSTNAME") or "deepcoder-operator",
        "action": "Reconcile",
        "reason": told.reason,
        "type": told.type,
        "note": told.note,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "uid": resource.uid,
        },
    }
