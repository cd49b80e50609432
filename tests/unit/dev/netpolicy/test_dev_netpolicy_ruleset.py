"""The nftables text of a Decision. That nft takes it, and what it does to packets, is tested with packets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from dev.netpolicy.policy import Allowance, Block, Decision, Ports
from dev.netpolicy.ruleset import render

POD, OTHER = IPv4Address("10.244.0.2"), IPv4Address("10.244.0.3")
NOBODY = Decision((), {"ingress": (), "egress": ()}, {"ingress": (), "egress": ()})


def chain(text: str, name: str) -> list[str]:
    """The lines of the inet table's chain."""
    after = text.split(f"  chain {name} {{\n", maxsplit=1)[1]
    return [line.strip() for line in after.split("\n  }", maxsplit=1)[0].splitlines() if line.strip()]


def test_without_pods_nothing_passes_from_or_to_the_bridge() -> None:
    """An empty set cannot be written, and no pod being known means that every address is unknown."""
    text = render(NOBODY, bridge="cni0")
    assert chain(text, "egress") == ['iifname "cni0" counter name unknown_source drop']
    assert chain(text, "ingress") == ['oifname "cni0" counter name unknown_destination drop']


def test_unknown_addresses_talk_only_when_asked_for() -> None:
    """The guards against the gap between a pod's start and its policy can be left out."""
    known = Decision((POD, OTHER), NOBODY.isolated, NOBODY.allowances)
    addresses = "{ 10.244.0.2, 10.244.0.3 }"
    guarded, open_ = render(known, bridge="br1"), render(known, bridge="br1", admit_unknown=True)
    source = f'iifname "br1" ip saddr != {addresses} counter name unknown_source drop'
    destination = f'oifname "br1" ip daddr != {addresses} counter name unknown_destination drop'
    assert (chain(guarded, "egress"), chain(guarded, "ingress")) == ([source], [destination])
    assert (chain(open_, "egress"), chain(open_, "ingress")) == ([], [])


def test_an_isolated_pod_keeps_itself_its_allowances_and_nothing_else() -> None:
    """Order matters: self, allowances, then the drop; source and destination swap with the direction."""
    block = Block(IPv4Network("10.0.0.0/8"), (IPv4Network("10.1.0.0/16"),))
    allowances = (
        Allowance((POD,), (OTHER,), Ports("TCP", ((80, 80), (90, 99))), "runs/a"),
        Allowance((POD,), block, Ports("UDP"), "runs/b"),
        Allowance((POD,), None, None, "runs/c"),
    )
    decision = Decision((POD,), {"ingress": (POD,), "egress": (POD,)}, {"ingress": allowances, "egress": allowances})
    text = render(decision, bridge="cni0", admit_unknown=True)
    expected = [
        "ip saddr . ip daddr { 10.244.0.2 . 10.244.0.2 } return",
        'ip saddr { 10.244.0.2 } ip daddr { 10.244.0.3 } tcp dport { 80, 90-99 } return comment "runs/a"',
        "ip saddr { 10.244.0.2 } ip daddr 10.0.0.0/8 ip daddr != { 10.1.0.0/16 } meta l4proto udp return "
        'comment "runs/b"',
        'ip saddr { 10.244.0.2 } return comment "runs/c"',
        "ip saddr { 10.244.0.2 } counter name egress_denied drop",
    ]
    assert chain(text, "egress") == expected
    swapped = {"saddr": "daddr", "daddr": "saddr", "egress_denied": "ingress_denied"}
    rest = [" ".join(swapped.get(word, word) for word in line.split()) for line in expected[1:]]
    assert chain(text, "ingress") == [expected[0], *rest]


def test_a_long_policy_name_is_cut_to_what_nft_takes() -> None:
    """Names may have 253 characters and their namespaces 63; a comment may have 128 bytes."""
    allowance = Allowance((POD,), None, None, f"runs/{'x' * 253}")
    decision = Decision((POD,), {"ingress": (POD,), "egress": ()}, {"ingress": (allowance,), "egress": ()})
    assert max(len(line) for line in chain(render(decision, bridge="cni0"), "ingress")) < 200


def test_replies_pass_before_policies_and_originals_do_not() -> None:
    """`established` would let an original direction live on that a later policy forbids."""
    for name in ("forward", "input"):
        lines = chain(render(NOBODY, bridge="cni0"), name)
        assert lines.index("ct direction reply accept") < lines.index("jump egress")
        assert not any("established" in line for line in lines)
