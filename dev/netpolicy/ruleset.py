"""A Decision written as nftables text, to be loaded in one transaction. Pure.

Hooks: `forward` sees pod to pod and pod to outside after kube-proxy's DNAT, on the bridge too as long as bridge
netfilter is on; `input` sees pod to node (API server, DNS, registry), after DNAT as well. Packets of the node itself
leave by `output`, which is not filtered: kubelet's probes always pass, as Kubernetes requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from dev.netpolicy.policy import Addresses, Allowance, Block, Decision, Direction, Ports

TABLE = "deepcoder_netpolicy"
COMMENT_LENGTH = 120  # nft takes 128 bytes

_FRAME = """\
add table inet {table}
add table bridge {table}
flush table inet {table}
flush table bridge {table}
table inet {table} {{
  counter unknown_source {{ }}
  counter unknown_destination {{ }}
  counter egress_denied {{ }}
  counter ingress_denied {{ }}
  chain egress {{
{egress}
  }}
  chain ingress {{
{ingress}
  }}
  chain forward {{
    type filter hook forward priority filter - 1; policy accept;
    iifname "{bridge}" meta nfproto ipv6 drop
    ct direction reply accept
    ct state related accept
    jump egress
    jump ingress
  }}
  chain input {{
    type filter hook input priority filter - 1; policy accept;
    iifname "{bridge}" meta nfproto ipv6 drop
    ct direction reply accept
    ct state related accept
    jump egress
  }}
}}
table bridge {table} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ether type != {{ ip, arp }} drop
  }}
}}
"""


def render(decision: Decision, *, bridge: str, admit_unknown: bool = False) -> str:
    """The text for `nft -f -`: replaces the whole of both tables in one transaction, whatever they held.

    The base chains stay while their rules are exchanged, so there is no moment without rules. Packets of a
    connection's original direction meet the policy each time and only replies pass by conntrack: a connection that was
    opened before its policy was loaded ends with it. The bridge table stops frames that are neither IPv4 nor ARP
    (IPv6, VLAN-tagged), which the inet table might not see. With `admit_unknown` an address on the bridge that is no
    known pod's may talk; otherwise it is cut off, so that no pod is ahead of its policy.
    """
    guards = [] if admit_unknown else _guards(decision.known, bridge)
    egress = [*guards[:1], *_chain(decision, "egress")]
    ingress = [*guards[1:], *_chain(decision, "ingress")]
    return _FRAME.format(table=TABLE, bridge=bridge, egress=_indented(egress), ingress=_indented(ingress))


def _guards(known: Addresses, bridge: str) -> list[str]:
    """The rules for addresses on the bridge that are no known pod's, broadcasts included: as source, as destination."""
    source, destination = (f" ip {side} != {_set(known)}" if known else "" for side in ("saddr", "daddr"))
    return [
        f'iifname "{bridge}"{source} counter name unknown_source drop',
        f'oifname "{bridge}"{destination} counter name unknown_destination drop',
    ]


def _chain(decision: Decision, direction: Direction) -> Iterator[str]:
    isolated = decision.isolated[direction]
    if not isolated:
        return
    # A pod cannot be cut from itself: it comes back through the bridge when it calls its own Service.
    yield f"ip saddr . ip daddr {_set(f'{address} . {address}' for address in isolated)} return"
    for allowance in decision.allowances[direction]:
        yield _allow(allowance, direction)
    yield f"ip {_own_side(direction)} {_set(isolated)} counter name {direction}_denied drop"


def _own_side(direction: Direction) -> Literal["saddr", "daddr"]:
    return "saddr" if direction == "egress" else "daddr"


def _allow(allowance: Allowance, direction: Direction) -> str:
    own = _own_side(direction)
    other = "daddr" if own == "saddr" else "saddr"
    parts = [f"ip {own} {_set(allowance.pods)}"]
    match allowance.peer:
        case None:
            pass
        case Block(network, exceptions):
            parts.append(f"ip {other} {network}")
            if exceptions:
                parts.append(f"ip {other} != {_set(exceptions)}")
        case addresses:
            parts.append(f"ip {other} {_set(addresses)}")
    if allowance.ports is not None:
        parts.append(_ports(allowance.ports))
    return f'{" ".join(parts)} return comment "{allowance.policy[:COMMENT_LENGTH]}"'


def _ports(ports: Ports) -> str:
    protocol = ports.protocol.lower()
    if not ports.ranges:
        return f"meta l4proto {protocol}"
    numbers = (str(first) if first == last else f"{first}-{last}" for first, last in ports.ranges)
    return f"{protocol} dport {_set(numbers)}"


def _set(elements: Iterable[object]) -> str:
    return f"{{ {', '.join(str(element) for element in elements)} }}"


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
