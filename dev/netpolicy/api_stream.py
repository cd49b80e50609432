"""Lists and watches of the Kubernetes API, read through kubectl, and the view of the cluster they add up to."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
COLLECTIONS = (PODS, NAMESPACES, POLICIES)

RELIST_SECONDS = 30
LIST_DEADLINE_SECONDS = 10.0
STREAM_GRACE_SECONDS = 5.0
RETRY_SECONDS = 0.5

Object = Mapping[str, Any]


class StreamError(Exception):
    """A list or a watch ended in a way it should not; a new list helps."""


@dataclass(frozen=True)
class Listing:
    """All objects of a collection."""

    collection: str
    items: Sequence[Object]


@dataclass(frozen=True)
class Change:
    """One event of a watch: ADDED, MODIFIED or DELETED."""

    collection: str
    kind: str
    item: Object


Event = Listing | Change


@dataclass
class ClusterView:
    """The newest known state of each collection; complete once each has been listed."""

    _objects: dict[str, dict[tuple[str, str], Object]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Take in one event. A change of a collection that was never listed cannot come."""
        match event:
            case Listing(collection, items):
                self._objects[collection] = {_key(item): item for item in items}
            case Change(collection, "DELETED", item):
                self._objects[collection].pop(_key(item), None)
            case Change(collection, _, item):
                self._objects[collection][_key(item)] = item

    @property
    def complete(self) -> bool:
        return all(collection in self._objects for collection in COLLECTIONS)

    def of(self, collection: str) -> list[Object]:
        """The objects of a collection that has been listed."""
        return list(self._objects[collection].values())


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


class Streams:
    """One thread per collection: list, watch for RELIST_SECONDS, and again. Events come out of `events`."""

    def __init__(self, kubectl: str, kubeconfig: str) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self._command = (kubectl, "--kubeconfig", kubeconfig, "get", "--raw")
        self._closing = threading.Event()
        self._watches: dict[str, subprocess.Popen[str]] = {}
        self._threads = [threading.Thread(target=self._follow, args=(name,), daemon=True) for name in COLLECTIONS]

    def start(self) -> None:
        """Begin to list and watch every collection."""
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises StreamError when a thread has died: the view would grow stale without a word."""
        if not all(thread.is_alive() for thread in self._threads):
            raise StreamError("a stream has ended by an error that is logged above; start again")

    def close(self) -> None:
        """End the watches; a list under way ends by its own deadline."""
        self._closing.set()
        for watch in list(self._watches.values()):
            watch.kill()

    def _follow(self, collection: str) -> None:
        while not self._closing.is_set():
            started = time.monotonic()
            try:
                version, items = self._list(collection)
                self.events.put(Listing(collection, items))
                for change in self._watch(collection, version):
                    self.events.put(change)
            except StreamError as error:
                if not self._closing.is_set():
                    print(f"netpolicy: {collection}: {error}; listing again", flush=True)
            # A stream that ends at once must not turn into a busy loop.
            self._closing.wait(max(0.0, RETRY_SECONDS - (time.monotonic() - started)))

    def _list(self, collection: str) -> tuple[str, Sequence[Object]]:
        try:
            done = subprocess.run(
                [*self._command, collection], capture_output=True, text=True, timeout=LIST_DEADLINE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise StreamError(f"no list within {LIST_DEADLINE_SECONDS:.0f} s") from error
        if done.returncode != 0:
            raise StreamError(f"list failed: {done.stderr.strip()}")
        try:
            listing = json.loads(done.stdout)
        except json.JSONDecodeError as error:
            raise StreamError(f"unreadable list {done.stdout[:80]!r}") from error
        return listing["metadata"]["resourceVersion"], listing.get("items") or []

    def _watch(self, collection: str, version: str) -> Iterator[Change]:
        address = f"{collection}?watch=1&resourceVersion={version}&timeoutSeconds={RELIST_SECONDS}"
        process = subprocess.Popen([*self._command, address], stdout=subprocess.PIPE, text=True)
        self._watches[collection] = process
        # The server ends the stream after timeoutSeconds; a connection that hangs would never see that.
        deadline = threading.Timer(RELIST_SECONDS + STREAM_GRACE_SECONDS, process.kill)
        deadline.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield read_change(collection, line)
        finally:
            deadline.cancel()
            process.kill()
            process.wait()


def read_change(collection: str, line: str) -> Change:
    """One line of a watch. Raises StreamError for an ERROR event (410 Gone) and for a line that was cut off."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError as error:
        raise StreamError(f"unreadable event {line[:80]!r}") from error
    if event["type"] == "ERROR":
        raise StreamError(f"watch refused: {event['object'].get('message', event['object'])}")
    return Change(collection, event["type"], event["object"])
