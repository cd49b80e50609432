"""All that the operator knows of the cluster between two looks: small projections by owner, never bodies. No I/O.

Fed by watches, by full lists and by the answers to the operator's own requests, in any order.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from deepcoder_operator.kinds import CHILDREN, RESOURCES, SERVED
from deepcoder_operator.labels import OWNER_KIND, OWNER_NAME
from deepcoder_operator.observed import Children, DeploymentSeen, JobSeen, Named, PodSeen
from deepcoder_operator.projection import (
    Body,
    controller_uid,
    owner_uid,
    part,
    see_deployment,
    see_job,
    see_named,
    see_pod,
    terminating,
)
from deepcoder_operator.versioned import Versioned

_KEPT_METADATA = ("name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp")


@dataclass(frozen=True, slots=True)
class Key:
    """A TrainingRun or an Evaluation."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ResourceSeen:
    """A TrainingRun or an Evaluation. `training_run` is the run that an Evaluation names, "" when it names none."""

    key: Key
    uid: str
    phase: str
    terminating: bool
    training_run: str
    text: bytes

    def document(self) -> dict[str, Any]:
        """The resource as parse_resource reads it."""
        return json.loads(zlib.decompress(self.text))


@dataclass(frozen=True, slots=True)
class ConfigSeen:
    """A ConfigMap with its data."""

    named: Named
    text: bytes


ChildSeen = JobSeen | DeploymentSeen | PodSeen | Named | ConfigSeen


class Index:
    """Resources by key, children by the uid of their owner."""

    def __init__(self) -> None:
        self._resources: dict[str, Versioned[ResourceSeen]] = {kind: Versioned() for kind in RESOURCES}
        self._children: dict[str, Versioned[ChildSeen]] = {kind: Versioned() for kind in CHILDREN}

    def put(self, kind: str, body: Body) -> None:
        """The object was seen like this."""
        uid, version = _uid(body), _version(body)
        if kind in self._resources:
            seen = see_resource(kind, body)
            self._resources[kind].put(_group(seen.key), uid, version, seen)
        elif _is_child(kind, body):
            self._children[kind].put(owner_uid(body), uid, version, see_child(kind, body))

    def remove(self, kind: str, body: Body) -> None:
        """The object is deleted."""
        if kind in self._resources:
            self._resources[kind].remove(_group(resource_key(kind, body)), _uid(body))
        else:
            self._children[kind].remove(owner_uid(body), _uid(body))

    def keep_only(self, kind: str, uids: set[str], version: int) -> list[Key]:
        """A list of a whole kind, of that version, held only these. Returns the resources that are gone."""
        if kind in self._resources:
            return [seen.key for seen in self._resources[kind].keep_only(uids, version)]
        self._children[kind].keep_only(uids, version)
        return []

    def keep_only_of(self, owner: str, kind: str, uids: set[str], version: int) -> None:
        """The same for the children of one owner."""
        self._children[kind].keep_only(uids, version, owner)

    def resource(self, key: Key) -> ResourceSeen | None:
        """The resource, None when there is none of that name."""
        seen = self._resources[key.kind].of(_group(key))
        return seen[-1] if seen else None

    def resources(self) -> Iterator[ResourceSeen]:
        """All resources."""
        for store in self._resources.values():
            yield from store

    def waiting_for(self, run: Key) -> list[Key]:
        """The Evaluations that name this TrainingRun."""
        if run.kind != "TrainingRun":
            return []
        evaluations = self._resources["Evaluation"]
        return [
            seen.key for seen in evaluations if seen.training_run == run.name and seen.key.namespace == run.namespace
        ]

    def children(self, uid: str) -> Children:
        """All that the resource of this uid owns."""
        all_seen = [seen for store in self._children.values() for seen in store.of(uid)]
        configs = [seen for seen in all_seen if isinstance(seen, ConfigSeen)]
        named = [seen for seen in all_seen if isinstance(seen, Named)]
        return Children(
            jobs=tuple(seen for seen in all_seen if isinstance(seen, JobSeen)),
            deployments=tuple(seen for seen in all_seen if isinstance(seen, DeploymentSeen)),
            pods=tuple(seen for seen in all_seen if isinstance(seen, PodSeen)),
            named=(*named, *(config.named for config in configs)),
            config=json.loads(zlib.decompress(configs[-1].text)) if configs else None,
        )


def see_resource(kind: str, body: Body) -> ResourceSeen:
    """A resource's projection: what parse_resource needs, packed, and what is asked of it more often."""
    meta = part(body, "metadata")
    document = {
        "apiVersion": SERVED[kind].api_version,
        "kind": kind,
        "metadata": {name: meta[name] for name in _KEPT_METADATA if meta.get(name) is not None},
        "spec": body.get("spec"),
        "status": body.get("status") or {},
    }
    return ResourceSeen(
        key=resource_key(kind, body),
        uid=_uid(body),
        phase=str(part(body, "status").get("phase") or ""),
        terminating=terminating(body),
        training_run=str(part(body, "spec", "model", "trainingRun").get("name") or ""),
        text=_packed(document),
    )


def see_child(kind: str, body: Body) -> ChildSeen:
    """A child's projection."""
    match kind:
        case "Job":
            return see_job(body)
        case "Deployment":
            return see_deployment(body)
        case "Pod":
            return see_pod(body)
        case "ConfigMap":
            return ConfigSeen(see_named(kind, body), _packed(body.get("data") or {}))
        case _:
            return see_named(kind, body)


def resource_key(kind: str, body: Body) -> Key:
    """The key of a resource."""
    meta = part(body, "metadata")
    return Key(kind, str(meta.get("namespace", "")), str(meta.get("name", "")))


def owner_key(body: Body) -> Key | None:
    """The key of the resource that a child's labels name."""
    meta = part(body, "metadata")
    labels = part(meta, "labels")
    kind, name = str(labels.get(OWNER_KIND, "")), str(labels.get(OWNER_NAME, ""))
    return Key(kind, str(meta.get("namespace", "")), name) if kind in RESOURCES and name else None


def _is_child(kind: str, body: Body) -> bool:
    # A label may be anybody's; only what Kubernetes would delete with the resource is its child. Pods are their Job's.
    uid = owner_uid(body)
    return bool(uid) and (kind == "Pod" or controller_uid(body) == uid)


def _group(key: Key) -> str:
    return f"{key.namespace}/{key.name}"


def _uid(body: Body) -> str:
    return str(part(body, "metadata").get("uid", ""))


def _version(body: Body) -> int:
    # The API server keeps them comparable; what is no number is taken for old.
    text = str(part(body, "metadata").get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(cast("Mapping[str, Any]", value), separators=(",", ":")).encode(), level=1)
