"""A node in network namespaces of its own: a bridge with pods on it, an outside host, servers, and real connects."""

from __future__ import annotations

import ctypes
import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

NODE, OUTSIDE = "node", "outside"
ADDRESSES = {
    "sandbox": "10.244.0.2",
    "trainer": "10.244.0.3",
    "stranger": "10.244.0.4",
    "gateway": "10.244.0.1",
    NODE: "10.200.0.2",
    OUTSIDE: "10.200.0.1",
    "trainer-service": "10.96.0.20",
    "api-service": "10.96.0.1",
}
PODS = ("sandbox", "trainer", "stranger")
PORTS = (8080, 8081)
CONNECT_SECONDS = 0.4
COMMAND_SECONDS = 20.0
CLONE_NEWNET = 0x40000000
EXPERIMENTAL_TYPE = 0x88B5  # IEEE 802: local experimental Ethertype

# What kube-proxy does for two Services: one of a pod, one (like `kubernetes`) of the node. Its last rule is hairpin.
SERVICES = f"""
table ip lab_services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {ADDRESSES["trainer-service"]} dnat to {ADDRESSES["trainer"]}
    ip daddr {ADDRESSES["api-service"]} dnat to {ADDRESSES[NODE]}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {ADDRESSES["trainer"]} ip daddr {ADDRESSES["trainer"]} masquerade
  }}
}}
"""

T = TypeVar("T")


def run(*command: str, text: str | None = None) -> str:
    """Run a command; an error carries its words."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


class Lab:
    """Namespaces by short name (`node`, `outside` and PODS), and servers on PORTS (TCP and UDP) in each of them."""

    def __init__(self) -> None:
        self._prefix = f"npt{os.getpid()}-"
        self._selector = selectors.DefaultSelector()
        self._ended = threading.Event()
        self._server = threading.Thread(target=self._serve, daemon=True)

    def build(self) -> None:
        """Make the namespaces, the links and the servers."""
        for name in (NODE, OUTSIDE, *PODS):
            run("ip", "netns", "add", self._prefix + name)
            self.ip(name, "link", "set", "lo", "up")
        self.ip(NODE, "link", "add", "cni0", "type", "bridge")
        self.ip(NODE, "link", "set", "cni0", "up")
        self._address(NODE, "cni0", f"{ADDRESSES['gateway']}/24")
        switches = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
        run("ip", "netns", "exec", self._prefix + NODE, "sysctl", "-qw", *(f"{switch}=1" for switch in switches))
        for pod in PODS:
            self._cable(pod, f"to-{pod}")
            self.ip(NODE, "link", "set", f"to-{pod}", "master", "cni0")
            self.ip(NODE, "link", "set", f"to-{pod}", "type", "bridge_slave", "hairpin", "on")
            self._address(pod, "eth0", f"{ADDRESSES[pod]}/24")
            self.ip(pod, "route", "add", "default", "via", ADDRESSES["gateway"])
        self._cable(OUTSIDE, "uplink")
        self._address(NODE, "uplink", f"{ADDRESSES[NODE]}/24")
        self._address(OUTSIDE, "eth0", f"{ADDRESSES[OUTSIDE]}/24")
        self.ip(OUTSIDE, "route", "add", "default", "via", ADDRESSES[NODE])
        self.nft(SERVICES)
        for name in (NODE, OUTSIDE, *PODS):
            self._listen(name)
        self._server.start()

    def destroy(self) -> None:
        """End the servers and remove every namespace; links go with them."""
        self._ended.set()
        if self._server.is_alive():
            self._server.join(timeout=5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for name in run("ip", "netns", "list").splitlines():
            if name.startswith(self._prefix):
                run("ip", "netns", "del", name.split()[0])

    def ip(self, name: str, *arguments: str) -> str:
        """`ip` inside a namespace."""
        return run("ip", "-n", self._prefix + name, *arguments)

    def nft(self, text: str) -> None:
        """Load nftables text in the node's namespace."""
        run("ip", "netns", "exec", self._prefix + NODE, "nft", "-f", "-", text=text)

    def clear(self) -> None:
        """Remove what the enforcer's rulesets made."""
        for family in ("inet", "bridge"):
            self.nft(f"add table {family} deepcoder_netpolicy\ndelete table {family} deepcoder_netpolicy")

    def open(
        self, source: str, kind: socket.SocketKind, family: socket.AddressFamily = socket.AF_INET
    ) -> socket.socket:
        """A socket that lives in the namespace of `source`, with a deadline on all that it does."""
        made = self._inside(source, lambda: socket.socket(family, kind))
        made.settimeout(CONNECT_SECONDS)
        return made

    def connect(self, source: str, target: str, port: int = PORTS[0]) -> socket.socket | None:
        """A TCP connection on which the server has said its word, or None."""
        connection = self.open(source, socket.SOCK_STREAM)
        try:
            connection.connect((ADDRESSES.get(target, target), port))
            assert connection.recv(16) == b"hello"
        except OSError:
            connection.close()
            return None
        return connection

    def tcp(self, source: str, target: str, port: int = PORTS[0]) -> bool:
        """Whether a TCP connection comes about and data comes back."""
        connection = self.connect(source, target, port)
        if connection is not None:
            connection.close()
        return connection is not None

    def udp(self, source: str, target: str, port: int = PORTS[0], family: Any = socket.AF_INET) -> bool:
        """Whether a datagram is answered."""
        with self.open(source, socket.SOCK_DGRAM, family) as datagrams:
            try:
                datagrams.sendto(b"hello", (ADDRESSES.get(target, target), port))
                return datagrams.recv(16) == b"hello"
            except OSError:
                return False

    def frame(self, source: str, target: str) -> bool:
        """Whether an Ethernet frame of an experimental type gets from one pod to another."""
        kind = socket.htons(EXPERIMENTAL_TYPE)
        with self._wire(source, kind) as sender, self._wire(target, kind) as receiver:
            sender.send(b"\xff" * 6 + b"\x02" + b"\0" * 5 + EXPERIMENTAL_TYPE.to_bytes(2, "big") + b"hello")
            try:
                return b"hello" in receiver.recv(64)
            except TimeoutError:
                return False

    def _wire(self, name: str, kind: int) -> socket.socket:
        wire = self._inside(name, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, kind))
        wire.settimeout(CONNECT_SECONDS)
        wire.bind(("eth0", EXPERIMENTAL_TYPE))
        return wire

    def _cable(self, name: str, port: str) -> None:
        self.ip(NODE, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self._prefix + name)
        self.ip(NODE, "link", "set", port, "up")
        self.ip(name, "link", "set", "eth0", "up")

    def _address(self, name: str, device: str, address: str) -> None:
        self.ip(name, "address", "add", address, "dev", device)
        _, network, _, host = address.split("/", maxsplit=1)[0].split(".")
        self.ip(name, "address", "add", f"fd00:{network}::{host}/64", "dev", device, "nodad")

    def _listen(self, name: str) -> None:
        for port in PORTS:
            for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    server = self.open(name, kind, family)
                    if family == socket.AF_INET6:
                        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    server.bind((any_address, port))
                    if kind == socket.SOCK_STREAM:
                        server.listen()
                    self._selector.register(server, selectors.EVENT_READ, kind)

    def _serve(self) -> None:
        """TCP: greet, then echo. UDP: echo."""
        while not self._ended.is_set():
            for key, _ in self._selector.select(timeout=0.2):
                peer: Any = key.fileobj
                if key.data == socket.SOCK_DGRAM:
                    peer.sendto(*peer.recvfrom(16))
                elif key.data == socket.SOCK_STREAM:
                    connection, _ = peer.accept()
                    connection.sendall(b"hello")
                    self._selector.register(connection, selectors.EVENT_READ, "connection")
                else:
                    self._echo(peer)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(16)
            connection.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()

    def _inside(self, name: str, make: Callable[[], T]) -> T:
        """Call `make` on a thread that has entered the namespace: a socket stays in the one it was made in."""
        made: list[T] = []

        def enter() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self._prefix}{name}") as namespace:
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            made.append(make())

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(timeout=COMMAND_SECONDS)
        return made[0]


@contextmanager
def laboratory() -> Iterator[Lab]:
    """A Lab that is removed at the end, however that comes."""
    lab = Lab()
    try:
        lab.build()
        yield lab
    finally:
        lab.destroy()
