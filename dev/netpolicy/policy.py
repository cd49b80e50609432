"""What the NetworkPolicies of a cluster mean, in addresses: which pods are isolated and what each may still reach.

Pure: objects as the API serves them in, a Decision out. How it is enforced is in ruleset.py.
Semantics: networking.k8s.io/v1 NetworkPolicy, IPv4 only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dev.netpolicy.label_selectors import matches

Direction = Literal["ingress", "egress"]
Object = Mapping[str, Any]
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class NamedPort:
    """A container port that has a name."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Pod:
    """A pod that has an address of its own. Pods on the host's network are none: their traffic is the node's."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(hash=False)
    address: ipaddress.IPv4Address
    ports: tuple[NamedPort, ...] = ()


@dataclass(frozen=True)
class Block:
    """An ipBlock: every address of `network` but those of `exceptions`, which do not overlap."""

    network: ipaddress.IPv4Network
    exceptions: tuple[ipaddress.IPv4Network, ...] = ()

    def __contains__(self, address: ipaddress.IPv4Address) -> bool:
        return address in self.network and not any(address in exception for exception in self.exceptions)


Addresses = tuple[ipaddress.IPv4Address, ...]
Peer = Addresses | Block | None
"""The other side: these pods, this block, or (None) anyone."""


@dataclass(frozen=True)
class Ports:
    """Destination ports of one protocol, as (first, last) ranges that do not overlap; none means every port."""

    protocol: str
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Allowance:
    """`pods` may talk with `peer` on `ports` (None: any protocol and port), because `policy` says so."""

    pods: Addresses
    peer: Peer
    ports: Ports | None
    policy: str


@dataclass(frozen=True)
class Decision:
    """All that the packet filter has to know."""

    known: Addresses
    isolated: Mapping[Direction, Addresses] = field(hash=False)
    allowances: Mapping[Direction, tuple[Allowance, ...]] = field(hash=False)


def decide(pods: Iterable[Object], namespaces: Iterable[Object], policies: Iterable[Object]) -> Decision:
    """The meaning of `policies` for these pods. Raises SelectorError or ValueError for an object the API refuses."""
    addressed = sorted((pod for item in pods if (pod := read_pod(item))), key=lambda pod: pod.address)
    cluster = _Cluster(addressed, {item["metadata"]["name"]: _labels(item) for item in namespaces})
    ordered = sorted(policies, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))
    isolated: dict[Direction, Addresses] = {}
    allowances: dict[Direction, tuple[Allowance, ...]] = {}
    for direction in ("ingress", "egress"):
        applied = [(item, cluster.selected(item)) for item in ordered if _has_direction(item["spec"], direction)]
        isolated[direction] = _addresses(pod for _, selected in applied for pod in selected)
        allowances[direction] = tuple(
            found for item, selected in applied if selected for found in cluster.allow(item, selected, direction)
        )
    return Decision(_addresses(addressed), isolated, allowances)


def read_pod(item: Object) -> Pod | None:
    """The pod, or None when no address is its own: not started, ended, on the host's network, or IPv6 only."""
    spec, status = item["spec"], item.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ENDED:
        return None
    reported = [status.get("podIP"), *(entry.get("ip") for entry in status.get("podIPs") or ())]
    address = next((text for text in reported if text and ":" not in text), None)
    if address is None:
        return None
    # A restartable init container (sidecar) may own a named port too.
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    ports = tuple(
        NamedPort(port["name"], port.get("protocol", "TCP"), port["containerPort"])
        for container in containers
        for port in container.get("ports") or ()
        if port.get("name")
    )
    metadata = item["metadata"]
    return Pod(metadata["namespace"], metadata["name"], _labels(item), ipaddress.IPv4Address(address), ports)


@dataclass(frozen=True)
class _Cluster:
    pods: Sequence[Pod]
    namespaces: Mapping[str, Mapping[str, str]]

    def selected(self, policy: Object) -> list[Pod]:
        namespace, selector = policy["metadata"]["namespace"], policy["spec"].get("podSelector") or {}
        return [pod for pod in self.pods if pod.namespace == namespace and matches(selector, pod.labels)]

    def allow(self, policy: Object, selected: Sequence[Pod], direction: Direction) -> Iterator[Allowance]:
        namespace = policy["metadata"]["namespace"]
        name = f"{namespace}/{policy['metadata']['name']}"
        for rule in policy["spec"].get(direction) or ():
            entries = rule.get("ports") or ()
            for peer in self._peers(rule.get("from" if direction == "ingress" else "to"), namespace):
                for ports in _numbered(entries):
                    yield Allowance(_addresses(selected), peer, ports, name)
                for protocol, port in _named(entries):
                    if direction == "ingress":
                        for number, owners in _by_number(selected, protocol, port):
                            yield Allowance(owners, peer, Ports(protocol, ((number, number),)), name)
                    else:
                        for number, owners in _by_number(self._pods_of(peer), protocol, port):
                            yield Allowance(_addresses(selected), owners, Ports(protocol, ((number, number),)), name)

    def _peers(self, entries: Sequence[Object] | None, namespace: str) -> Iterator[Peer]:
        if not entries:
            yield None
            return
        blocks = [block for entry in entries if "ipBlock" in entry and (block := _block(entry["ipBlock"]))]
        selectors = [entry for entry in entries if "ipBlock" not in entry]
        chosen = _addresses(pod for entry in selectors for pod in self.pods if self._is_peer(entry, pod, namespace))
        yield from blocks
        if chosen:
            yield chosen

    def _is_peer(self, entry: Object, pod: Pod, namespace: str) -> bool:
        if entry.get("namespaceSelector") is None:
            here = pod.namespace == namespace
        else:
            # A namespace that is not known yet matches nothing: its labels could forbid what an empty set allows.
            labels = self.namespaces.get(pod.namespace)
            here = labels is not None and matches(entry["namespaceSelector"], labels)
        return here and matches(entry.get("podSelector") or {}, pod.labels)

    def _pods_of(self, peer: Peer) -> list[Pod]:
        return [pod for pod in self.pods if peer is None or pod.address in peer]


def _has_direction(spec: Object, direction: Direction) -> bool:
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return direction.capitalize() in types


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def _addresses(pods: Iterable[Pod]) -> Addresses:
    return tuple(sorted({pod.address for pod in pods}))


def _block(entry: Object) -> Block | None:
    """The IPv4 block, or None for an IPv6 one: IPv6 from pods never passes."""
    if ":" in entry["cidr"]:
        return None
    exceptions = (ipaddress.IPv4Network(text, strict=False) for text in entry.get("except") or ())
    network = ipaddress.IPv4Network(entry["cidr"], strict=False)
    return Block(network, tuple(ipaddress.collapse_addresses(exceptions)))


def _numbered(entries: Sequence[Object]) -> Iterator[Ports | None]:
    if not entries:
        yield None
        return
    ranges: dict[str, list[tuple[int, int]]] = {}
    whole: set[str] = set()
    for entry in entries:
        protocol, port = entry.get("protocol") or "TCP", entry.get("port")
        if port is None:
            whole.add(protocol)
        elif isinstance(port, int):
            ranges.setdefault(protocol, []).append((port, entry.get("endPort") or port))
    for protocol in sorted(whole | set(ranges)):
        yield Ports(protocol, () if protocol in whole else _merged(ranges[protocol]))


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _named(entries: Sequence[Object]) -> list[tuple[str, str]]:
    named = {(entry.get("protocol") or "TCP", entry["port"]) for entry in entries if isinstance(entry.get("port"), str)}
    return sorted(named)


def _by_number(pods: Iterable[Pod], protocol: str, name: str) -> list[tuple[int, Addresses]]:
    """Pods whose container port has this name, grouped by its number, which differs from pod to pod."""
    owners: dict[int, list[Pod]] = {}
    for pod in pods:
        for number in {port.number for port in pod.ports if (port.protocol, port.name) == (protocol, name)}:
            owners.setdefault(number, []).append(pod)
    return [(number, _addresses(owners[number])) for number in sorted(owners)]
