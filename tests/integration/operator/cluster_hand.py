"""The test's hand in the cluster: applies resources, reads them, and says what becomes of pods, as no kubelet runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from deepcoder_api.lifecycle import EXIT_CODES, Outcome, TerminationMessage
from deepcoder_operator.kinds import CHILDREN, SERVED, url_path

T = TypeVar("T")
Document = dict[str, Any]

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.05
# Loopback, so that the operator reaches a server of the test, and not the address that anything else listens on.
POD_ADDRESS = "127.0.0.77"


def eventually(what: str, read: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """What `read` returns once it is true. Fails the test, naming what did not come, when it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        value = read()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds:.0f} s there is still no {what}"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Hand:
    """Acts as an administrator in one namespace."""

    api: Any
    namespace: str

    def call(self, method: str, path: str, body: Document | None = None, *, query: Document | None = None) -> Document:
        """One request. Raises ApiException."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self.api.call_api(
            method,
            f"{self.api.configuration.host}{path}" + _query(query),
            {"Accept": "application/json", "Content-Type": kind},
            body,
        )
        content = answer.read()
        if answer.status >= 400:
            raise ApiException(status=answer.status, reason=content.decode())
        return json.loads(content)

    def create(self, kind: str, name: str, **parts: Any) -> Document:
        """Create an object in the namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        document = {"apiVersion": SERVED[kind].api_version, "kind": kind, "metadata": metadata, **parts}
        return self.call("POST", url_path(kind, self.namespace), document)

    def get(self, kind: str, name: str) -> Document | None:
        """The object, None when there is none."""
        try:
            return self.call("GET", url_path(kind, self.namespace, name))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def delete(self, kind: str, name: str) -> None:
        """Delete the object."""
        self.call("DELETE", url_path(kind, self.namespace, name))

    def status(self, kind: str, name: str) -> Document:
        """The status of a resource."""
        return (self.get(kind, name) or {}).get("status", {})

    def patch_status(self, kind: str, name: str, status: Document) -> None:
        """Merge into the status of an object."""
        self.call("PATCH", url_path(kind, self.namespace, name, "status"), {"status": status})

    def patch_spec(self, kind: str, name: str, spec: Document) -> None:
        """Merge into the spec of an object."""
        self.call("PATCH", url_path(kind, self.namespace, name), {"spec": spec})

    def owned(self, uid: str) -> dict[str, list[Document]]:
        """All objects that carry the label of this owner, by kind."""
        query = {"labelSelector": f"deepcoder.dev/owner-uid={uid}"}
        lists = {kind: self.call("GET", url_path(kind, self.namespace), query=query)["items"] for kind in CHILDREN}
        return {kind: items for kind, items in lists.items() if items}

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and note of every Event about a resource, in the order they were told."""
        items = self.call("GET", url_path("Event", self.namespace))["items"]
        about = [item for item in items if item["regarding"]["name"] == name and item.get("eventTime")]
        return [(item["reason"], item["note"]) for item in sorted(about, key=lambda item: item["eventTime"])]

    def phase(self, kind: str, name: str, phase: str, seconds: float = PATIENCE_SECONDS) -> Document:
        """The status of a resource once it has reached a phase."""

        def reached() -> Document | None:
            status = self.status(kind, name)
            return status if status.get("phase") == phase else None

        try:
            return eventually(f"{kind} {name} in phase {phase}", reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; its status is {self.status(kind, name)}") from None

    def condition(self, kind: str, name: str, type: str, status: str, reason: str | None = None) -> Document:
        """A condition of a resource once it has this status, and this reason if given."""

        def reached() -> Document | None:
            conditions = self.status(kind, name).get("conditions", [])
            wanted = [item for item in conditions if item["type"] == type and item["status"] == status]
            return next((item for item in wanted if reason is None or item["reason"] == reason), None)

        return eventually(f"condition {type}={status} {reason or ''} of {kind} {name}", reached)

    def pod(self, owner: str, role: str, attempt: int | None = None) -> str:
        """The name of a pod of a role once a controller has made it and it is not being deleted."""
        selector = f"deepcoder.dev/owner-name={owner},deepcoder.dev/role={role}"
        selector += f",deepcoder.dev/attempt={attempt}" if attempt is not None else ""

        def made() -> str | None:
            items = self.call("GET", url_path("Pod", self.namespace), query={"labelSelector": selector})["items"]
            live = [item["metadata"] for item in items if "deletionTimestamp" not in item["metadata"]]
            return live[0]["name"] if live else None

        return eventually(f"{role} pod of {owner}", made)

    def run_pod(self, owner: str, role: str, attempt: int | None = None) -> None:
        """The pod runs and is ready."""
        name = self.pod(owner, role, attempt)
        state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        address = {"podIP": POD_ADDRESS, "podIPs": [{"ip": POD_ADDRESS}]}
        containers = [_container(role, state, ready=True)]
        status = {"phase": "Running", "conditions": conditions, "containerStatuses": containers, **address}
        self.patch_status("Pod", name, status)

    def end_pod(self, owner: str, role: str, outcome: Outcome, attempt: int | None = None, **said: Any) -> None:
        """The pod's container ends and leaves a termination message."""
        name = self.pod(owner, role, attempt)
        code = EXIT_CODES[outcome]
        message = TerminationMessage(outcome=outcome, **said).model_dump_json(exclude_none=True)
        ended = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "message": message,
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
        }
        containers = [_container(role, {"terminated": ended}, ready=False)]
        phase = "Succeeded" if code == 0 else "Failed"
        self.patch_status("Pod", name, {"phase": phase, "containerStatuses": containers})


def hand_in(kubeconfig: Path, namespace: str) -> Hand:
    """A hand in a namespace."""
    return Hand(config.new_client_from_config(str(kubeconfig), client_configuration=client.Configuration()), namespace)


def _container(role: str, state: Document, *, ready: bool) -> Document:
    return {"name": role, "state": state, "ready": ready, "restartCount": 0, "image": "i", "imageID": "i"}


def _query(query: Document | None) -> str:
    return f"?{urlencode(query)}" if query else ""
