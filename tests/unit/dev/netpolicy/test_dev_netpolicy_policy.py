"""What NetworkPolicies mean in addresses: selection, peers, ports and defaults, without a packet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from dev.netpolicy.policy import Allowance, Block, Decision, Ports, decide, read_pod

Object = dict[str, Any]


def pod(name: str, address: str | None = None, *, namespace: str = "runs", **changes: Any) -> Object:
    """A running pod as the API serves it, labelled by its name."""
    status = {"phase": "Running", **({"podIP": address} if address else {}), **changes.pop("status", {})}
    spec = {"containers": [{"ports": changes.pop("ports", [])}], **changes}
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": spec, "status": status}


def policy(selector: Object | None = None, *, namespace: str = "runs", **spec: Any) -> Object:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": selector or {}, **spec}}


def app(*names: str) -> Object:
    return {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": list(names)}]}}


def team(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"team": name}}}


MAIN = {"name": "main", "containerPort": 8080}
SANDBOX, TRAINER, STRANGER = "10.244.0.2", "10.244.0.3", "10.244.0.4"
CLUSTER = [
    pod("sandbox", SANDBOX, ports=[MAIN]),
    pod("trainer", TRAINER, ports=[{**MAIN, "containerPort": 9090}]),
    pod("stranger", STRANGER, namespace="elsewhere", ports=[MAIN]),
]
NAMESPACES: list[Object] = [
    {"metadata": {"name": "runs", "labels": {"team": "rl"}}},
    {"metadata": {"name": "elsewhere", "labels": {"team": "other"}}},
]


def addresses(*texts: str) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(text) for text in texts)


def meaning(*policies: Object, pods: list[Object] = CLUSTER) -> Decision:
    return decide(pods, NAMESPACES, policies)


ISOLATION = {
    "no policy types, no egress rules": ({}, True, False),
    "no policy types, egress rules": ({"egress": [{}]}, True, True),
    "only egress": ({"policyTypes": ["Egress"]}, False, True),
    "only ingress, though egress rules are there": ({"policyTypes": ["Ingress"], "egress": [{}]}, True, False),
    "both": ({"policyTypes": ["Ingress", "Egress"]}, True, True),
}


@pytest.mark.parametrize(("spec", "ingress", "egress"), ISOLATION.values(), ids=ISOLATION.keys())
def test_policy_types_say_what_is_isolated(spec: Object, ingress: bool, egress: bool) -> None:
    """Ingress unless policyTypes says otherwise; egress by policyTypes, or by egress rules when it is absent."""
    isolated = meaning(policy(**spec)).isolated
    assert (bool(isolated["ingress"]), bool(isolated["egress"])) == (ingress, egress)


def test_a_policy_isolates_the_selected_pods_of_its_namespace_only() -> None:
    """The empty podSelector is every pod of the policy's namespace."""
    assert meaning(policy()).isolated["ingress"] == addresses(SANDBOX, TRAINER)
    assert meaning(policy({"matchLabels": {"app": "stranger"}})).isolated["ingress"] == ()


def test_no_rules_allow_nothing_and_an_empty_rule_allows_everything() -> None:
    """`ingress: []` is default deny; `ingress: [{}]` is anyone on any port."""
    assert meaning(policy(ingress=[])).allowances["ingress"] == ()
    assert meaning(policy(ingress=[{}])).allowances["ingress"] == (
        Allowance(addresses(SANDBOX, TRAINER), None, None, "runs/p"),
    )


EVERY_TEAM = {"namespaceSelector": {}}
PEERS: dict[str, tuple[list[Object], list[object]]] = {
    "a pod selector stays in the policy's namespace": ([app("sandbox", "stranger")], [addresses(SANDBOX)]),
    "a namespace selector takes all pods there": ([team("other")], [addresses(STRANGER)]),
    "the empty namespace selector is every namespace": ([EVERY_TEAM], [addresses(SANDBOX, TRAINER, STRANGER)]),
    "both in one peer must hold": ([{**team("other"), **app("sandbox")}], []),
    "two peers add up": ([team("other"), app("sandbox")], [addresses(SANDBOX, STRANGER)]),
    "a selector of no pod allows nobody, not everybody": ([app("nobody")], []),
    "an empty list is everybody": ([], [None]),
    "a block with exceptions that overlap": (
        [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}}],
        [Block(IPv4Network("10.0.0.0/8"), (IPv4Network("10.1.0.0/16"),))],
    ),
    "an IPv6 block opens nothing": ([{"ipBlock": {"cidr": "fd00::/8"}}], []),
}


@pytest.mark.parametrize(("peers", "expected"), PEERS.values(), ids=PEERS.keys())
def test_peers_become_addresses_and_blocks(peers: list[Object], expected: list[object]) -> None:
    """Selectors become the addresses of the pods they choose now; blocks stay blocks; the same for both directions."""
    decision = meaning(policy(policyTypes=["Ingress", "Egress"], ingress=[{"from": peers}], egress=[{"to": peers}]))
    for direction in ("ingress", "egress"):
        assert [allowance.peer for allowance in decision.allowances[direction]] == expected


def test_a_namespace_that_is_not_known_yet_matches_no_selector() -> None:
    """A pod can be seen before its namespace; its labels might forbid what no labels would allow."""
    rule = {"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}]}
    assert decide(CLUSTER, [], [policy(ingress=[rule])]).allowances["ingress"] == ()


PORTS = {
    "none": ([], [None]),
    "a number is TCP": ([{"port": 80}], [Ports("TCP", ((80, 80),))]),
    "a range": ([{"protocol": "UDP", "port": 80, "endPort": 90}], [Ports("UDP", ((80, 90),))]),
    "ranges that touch or overlap are one": (
        [{"port": 80, "endPort": 90}, {"port": 85}, {"port": 91}, {"port": 443}],
        [Ports("TCP", ((80, 91), (443, 443)))],
    ),
    "a protocol alone is all its ports": ([{"protocol": "UDP"}, {"protocol": "UDP", "port": 53}], [Ports("UDP")]),
    "one per protocol": (
        [{"port": 53}, {"protocol": "UDP", "port": 53}],
        [Ports("TCP", ((53, 53),)), Ports("UDP", ((53, 53),))],
    ),
}


@pytest.mark.parametrize(("entries", "expected"), PORTS.values(), ids=PORTS.keys())
def test_ports_become_ranges_by_protocol(entries: list[Object], expected: list[Ports | None]) -> None:
    """Numbers, ranges and bare protocols, merged so that nft never sees an overlap."""
    allowances = meaning(policy(ingress=[{"ports": entries}])).allowances["ingress"]
    assert [allowance.ports for allowance in allowances] == expected


def test_a_named_port_of_ingress_is_the_number_on_each_selected_pod() -> None:
    """The same name is 8080 on one pod and 9090 on the other: one allowance each."""
    allowances = meaning(policy(ingress=[{"ports": [{"port": "main"}]}])).allowances["ingress"]
    assert [(allowance.pods, allowance.ports) for allowance in allowances] == [
        (addresses(SANDBOX), Ports("TCP", ((8080, 8080),))),
        (addresses(TRAINER), Ports("TCP", ((9090, 9090),))),
    ]


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ([app("trainer")], [(addresses(TRAINER), 9090)]),
        ([], [(addresses(SANDBOX, STRANGER), 8080), (addresses(TRAINER), 9090)]),
        (
            [{"ipBlock": {"cidr": "10.244.0.0/24", "except": ["10.244.0.4/32"]}}],
            [(addresses(SANDBOX), 8080), (addresses(TRAINER), 9090)],
        ),
    ],
)
def test_a_named_port_of_egress_is_the_number_on_each_peer(peers: list[Object], expected: list[object]) -> None:
    """Names are resolved where the traffic goes, so only on pods, also when the peer is a block or anyone."""
    rule = {"to": peers, "ports": [{"port": "main"}]}
    allowances = meaning(policy({"matchLabels": {"app": "sandbox"}}, policyTypes=["Egress"], egress=[rule])).allowances
    found = [(allowance.peer, allowance.ports.ranges[0][0]) for allowance in allowances["egress"] if allowance.ports]
    assert found == expected


def test_a_named_port_that_no_pod_has_opens_nothing() -> None:
    """A name of another protocol is another name."""
    for entry in ({"port": "absent"}, {"port": "main", "protocol": "UDP"}):
        assert meaning(policy(ingress=[{"ports": [entry]}])).allowances["ingress"] == ()


WITHOUT_ADDRESS = {
    "not started": pod("a"),
    "on the host's network": pod("a", "10.200.0.2", hostNetwork=True),
    "succeeded: its address may belong to another pod": pod("a", SANDBOX, status={"phase": "Succeeded"}),
    "failed": pod("a", SANDBOX, status={"phase": "Failed"}),
    "IPv6 only": pod("a", "fd00::2"),
}


@pytest.mark.parametrize("item", WITHOUT_ADDRESS.values(), ids=WITHOUT_ADDRESS.keys())
def test_a_pod_without_an_address_of_its_own_is_neither_subject_nor_peer(item: Object) -> None:
    """Policies select such a pod without effect."""
    assert read_pod(item) is None
    assert decide([item], NAMESPACES, [policy()]) == Decision(
        (), {"ingress": (), "egress": ()}, {"ingress": (), "egress": ()}
    )


def test_a_dual_stack_pod_is_known_by_its_ipv4_address() -> None:
    """podIP may be the IPv6 one; podIPs has both."""
    item = pod("a", "fd00::2", status={"podIPs": [{"ip": "fd00::2"}, {"ip": SANDBOX}]})
    found = read_pod(item)
    assert found is not None
    assert found.address == IPv4Address(SANDBOX)
