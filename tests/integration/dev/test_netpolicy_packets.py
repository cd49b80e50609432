"""NetworkPolicies against real packets: rendered rulesets in a namespace with a bridge, and what gets through."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.netpolicy.policy import decide
from dev.netpolicy.ruleset import render
from tests.integration.dev.packet_lab import ADDRESSES, NODE, OUTSIDE, PODS, Lab, laboratory

MISSING = (
    "needs root to make network namespaces"
    if os.geteuid() != 0
    else "needs nft: apt-get install nftables"
    if shutil.which("nft") is None
    else "needs ip: apt-get install iproute2"
    if shutil.which("ip") is None
    else "needs bridge netfilter: modprobe br_netfilter"
    if not Path("/proc/sys/net/bridge").exists()
    else ""
)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

Object = dict[str, Any]
NAMESPACE = {"sandbox": "runs", "trainer": "runs", "stranger": "elsewhere"}
NAMESPACES: list[Object] = [
    {"metadata": {"name": "runs", "labels": {"team": "rl"}}},
    {"metadata": {"name": "elsewhere", "labels": {"team": "other"}}},
]
CLUSTER: list[Object] = [
    {
        "metadata": {"name": name, "namespace": NAMESPACE[name], "labels": {"app": name}},
        "spec": {"containers": [{"ports": [{"name": "main", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": ADDRESSES[name]},
    }
    for name in PODS
]


def policy(pod: str, **spec: Any) -> Object:
    """A NetworkPolicy on one of the lab's pods."""
    selector = {"matchLabels": {"app": pod}}
    return {"metadata": {"name": "p", "namespace": NAMESPACE[pod]}, "spec": {"podSelector": selector, **spec}}


def ingress(pod: str, *rules: Object) -> Object:
    return policy(pod, policyTypes=["Ingress"], ingress=list(rules))


def egress(pod: str, *rules: Object) -> Object:
    return policy(pod, policyTypes=["Egress"], egress=list(rules))


def app(name: str) -> Object:
    return {"podSelector": {"matchLabels": {"app": name}}}


def team(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"team": name}}}


def block(cidr: str, *exceptions: str) -> Object:
    return {"ipBlock": {"cidr": cidr, "except": list(exceptions)}}


@pytest.fixture(scope="module")
def built() -> Iterator[Lab]:
    with laboratory() as lab:
        yield lab


@pytest.fixture
def lab(built: Lab) -> Iterator[Lab]:
    yield built
    built.clear()


def enforce(lab: Lab, *policies: Object, pods: list[Object] = CLUSTER) -> None:
    lab.nft(render(decide(pods, NAMESPACES, policies), bridge="cni0"))


EVERYWHERE = ("trainer", "stranger", "gateway", NODE, OUTSIDE, "trainer-service", "api-service")

CASES: dict[str, tuple[list[Object], str, dict[str, bool]]] = {
    "no policy leaves every way open": ([], "sandbox", dict.fromkeys(EVERYWHERE, True)),
    "a pod with no egress reaches nothing, the node and Services included": (
        [egress("sandbox")],
        "sandbox",
        dict.fromkeys(EVERYWHERE, False),
    ),
    "egress rules of another pod change nothing": ([egress("trainer")], "sandbox", dict.fromkeys(EVERYWHERE, True)),
    "default deny of ingress closes a pod for pods and its Service, and no other": (
        [ingress("trainer")],
        "sandbox",
        {"trainer": False, "trainer-service": False, "stranger": True, "gateway": True, OUTSIDE: True},
    ),
    "a host outside meets ingress too": ([ingress("trainer")], OUTSIDE, {"trainer": False, "stranger": True}),
    "the node reaches an isolated pod, as probes must": (
        [ingress("sandbox"), egress("sandbox")],
        NODE,
        {"sandbox": True},
    ),
    "ingress by pod selector admits the pod": (
        [ingress("trainer", {"from": [app("sandbox")]})],
        "sandbox",
        {"trainer": True, "trainer-service": True},
    ),
    "ingress by pod selector admits no pod of another namespace": (
        [ingress("trainer", {"from": [app("stranger")]})],
        "stranger",
        {"trainer": False, "trainer-service": False},
    ),
    "ingress by namespace selector admits that namespace": (
        [ingress("trainer", {"from": [team("other")]})],
        "stranger",
        {"trainer": True},
    ),
    "ingress by namespace selector admits no other namespace": (
        [ingress("trainer", {"from": [team("other")]})],
        "sandbox",
        {"trainer": False},
    ),
    "both selectors in one peer must hold": (
        [ingress("trainer", {"from": [{**team("other"), **app("sandbox")}]})],
        "stranger",
        {"trainer": False},
    ),
    "an egress block opens what lies in it, but for its exceptions": (
        [
            egress(
                "sandbox", {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.3/32", "10.200.0.0/24"]}}]}
            )
        ],
        "sandbox",
        {"trainer": False, "trainer-service": False, "stranger": True, NODE: False, OUTSIDE: False, "gateway": True},
    ),
    "an ingress block names hosts outside": (
        [ingress("trainer", {"from": [block("10.200.0.0/24")]})],
        OUTSIDE,
        {"trainer": True},
    ),
    "egress to a pod opens its Service and not the node": (
        [egress("sandbox", {"to": [app("trainer")]})],
        "sandbox",
        {"trainer": True, "trainer-service": True, "stranger": False, NODE: False, "api-service": False},
    ),
    "both ends must agree": (
        [egress("sandbox", {"to": [app("trainer")]}), ingress("trainer", {"from": [app("stranger")]})],
        "sandbox",
        {"trainer": False},
    ),
    "a pod reaches itself through its Service though it is isolated": (
        [ingress("trainer"), egress("trainer")],
        "trainer",
        {"trainer-service": True, "sandbox": False},
    ),
}


@pytest.mark.parametrize(("policies", "source", "expected"), CASES.values(), ids=CASES.keys())
def test_connects_get_through_exactly_where_policies_allow(
    lab: Lab, policies: list[Object], source: str, expected: dict[str, bool]
) -> None:
    """TCP and UDP to each target succeed where the case says so, and nowhere else."""
    enforce(lab, *policies)
    assert {target: lab.tcp(source, target) for target in expected} == expected
    assert {target: lab.udp(source, target) for target in expected} == expected


PORT_CASES: dict[str, tuple[list[Object], dict[tuple[str, int], bool]]] = {
    "a number is TCP unless it says otherwise": (
        [{"port": 8080}],
        {("tcp", 8080): True, ("tcp", 8081): False, ("udp", 8080): False},
    ),
    "a protocol is every port of it": (
        [{"protocol": "UDP"}],
        {("tcp", 8080): False, ("udp", 8080): True, ("udp", 8081): True},
    ),
    "a range reaches from port to endPort": (
        [{"port": 8000, "endPort": 8080}],
        {("tcp", 8080): True, ("tcp", 8081): False},
    ),
    "a name is the number that the container gives it": (
        [{"port": "main"}],
        {("tcp", 8080): True, ("tcp", 8081): False, ("udp", 8080): False},
    ),
}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize(("ports", "expected"), PORT_CASES.values(), ids=PORT_CASES.keys())
def test_ports_bound_what_a_rule_opens(
    lab: Lab, direction: str, ports: list[Object], expected: dict[tuple[str, int], bool]
) -> None:
    """A rule's ports are destination ports, in both directions."""
    rule = {"ports": ports}
    enforce(lab, ingress("trainer", rule) if direction == "ingress" else egress("sandbox", rule))
    assert {(kind, port): getattr(lab, kind)("sandbox", "trainer", port) for kind, port in expected} == expected


def test_a_connection_opened_before_its_policy_ends_with_it(lab: Lab) -> None:
    """Conntrack lets replies pass and nothing else, so what slipped through before a policy was loaded is cut."""
    enforce(lab)
    connection = lab.connect("sandbox", "trainer")
    assert connection is not None
    with connection:
        connection.sendall(b"before")
        assert connection.recv(16) == b"before"
        enforce(lab, egress("sandbox"))
        connection.sendall(b"after")
        with pytest.raises(TimeoutError):
            connection.recv(16)


def test_an_isolated_pod_answers_and_goes_on_answering(lab: Lab) -> None:
    """Replies of a pod with no egress pass, on connections that are older than its policy too."""
    enforce(lab)
    connection = lab.connect("trainer", "sandbox")
    assert connection is not None
    with connection:
        enforce(lab, egress("sandbox"))
        connection.sendall(b"after")
        assert connection.recv(16) == b"after"
    assert lab.tcp("trainer", "sandbox")


def test_a_pod_that_is_not_known_yet_talks_with_the_node_only(lab: Lab) -> None:
    """Between a pod's start and its address in the API nothing leaves it or gets to it, but for the node's probes."""
    enforce(lab, pods=[pod for pod in CLUSTER if pod["metadata"]["name"] != "sandbox"])
    assert {target: lab.tcp("sandbox", target) for target in EVERYWHERE} == dict.fromkeys(EVERYWHERE, False)
    assert {source: lab.tcp(source, "sandbox") for source in ("trainer", OUTSIDE)} == {"trainer": False, OUTSIDE: False}
    assert lab.tcp(NODE, "sandbox")
    enforce(lab)
    assert lab.tcp("sandbox", "trainer")
    assert lab.tcp(OUTSIDE, "sandbox")


def test_ipv6_from_pods_is_dropped(lab: Lab) -> None:
    """Policies speak IPv4, so no IPv6 leaves a pod, to a pod or to the node; before the ruleset it does."""
    for loaded in (False, True):
        if loaded:
            enforce(lab, egress("sandbox"))
        for target in ("fd00:244::3", "fd00:244::1"):
            assert lab.udp("sandbox", target, family=socket.AF_INET6) is not loaded, target


def test_frames_that_are_no_ip_are_no_way_around(lab: Lab) -> None:
    """Other frames never meet netfilter's IP hooks on the bridge; the bridge table drops what passed before it."""
    assert lab.frame("sandbox", "trainer")
    enforce(lab, egress("sandbox"))
    assert not lab.frame("sandbox", "trainer")
