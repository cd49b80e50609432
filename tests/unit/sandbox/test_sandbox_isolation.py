"""What the canary makes of what it sees, and how long it looks."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from deepcoder_api.grading import IsolationReport
from deepcoder_sandbox import isolation, isolation_probe
from deepcoder_sandbox.isolation import api_server, findings, verify_until

KERNEL = "Linux version 4.19.0-gvisor #1 SMP Sun Jan 10 15:06:54 PST 2016"
SEEN = {
    "kernel": KERNEL,
    "kernel_log": "[ 0.0] Starting gVisor...",
    "reached": [],
    "token": False,
    "root_writable": False,
    "uid": 10001,
    "capabilities": "0000000000000000",
}
FINDINGS = {
    "all is well": ({}, []),
    "another kernel": ({"kernel": "Linux version 6.1.0 #1 SMP Debian"}, ["not gVisor's: Linux version 6.1.0"]),
    "a kernel's log that is the host's": ({"kernel_log": "Linux version 6.1.0"}, ["not gVisor's"]),
    "no access to the kernel's log": ({"kernel_log": "Operation not permitted"}, ["not gVisor's"]),
    "network": ({"reached": ["1.1.1.1:443", "10.96.0.10"]}, ["reached 1.1.1.1:443", "reached 10.96.0.10"]),
    "token": ({"token": True}, ["service account token"]),
    "root file system": ({"root_writable": True}, ["write to the root file system"]),
    "root": ({"uid": 0}, ["runs as root"]),
    "capabilities": ({"capabilities": "00000000a80425fb"}, ["capabilities: 00000000a80425fb"]),
    "capabilities unknown": ({"capabilities": "unknown"}, ["capabilities: unknown"]),
    "two at once": ({"token": True, "uid": 0}, ["token", "root"]),
    "probe failed": ({"failed": "time_limit: 30 s"}, ["the probe in the pod failed: time_limit: 30 s"]),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_finding_names_what_is_not_as_it_must_be(name):
    """Each fault is one sentence for people; none is none."""
    changes, expected = FINDINGS[name]
    found = findings("the pod", {**SEEN, **changes})
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line


def test_api_server_is_where_the_pod_says():
    """From the variables of every pod; without them, where most clusters have it."""
    given = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert api_server(given) == ("fd00::1", 6443)
    assert api_server({}) == ("10.96.0.1", 443)


def test_name_servers_are_read():
    """As the resolver reads them."""
    text = "search a b\nnameserver 10.96.0.10\n# nameserver 1.2.3.4\n\nnameserver fd00::a\nnameserver\n"
    assert isolation_probe.name_servers(text) == ["10.96.0.10", "fd00::a"]


@pytest.mark.parametrize(("reply", "reached"), [(b"\xdc\x0d\x81\x83" + bytes(8), True), (None, False)])
def test_any_answer_of_a_name_server_is_a_way_out(monkeypatch, reply, reached):
    """Also that there is no such name: the question has left. Silence is none, and is waited for no longer than due."""
    monkeypatch.setattr(isolation_probe, "WAIT_SECONDS", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            query, asker = server.recvfrom(512)
            assert query == isolation_probe.QUERY
            if reply:
                server.sendto(reply, asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        begun = time.monotonic()
        assert isolation_probe._answers("127.0.0.1", server.getsockname()[1]) is reached
        assert time.monotonic() - begun < 5
        thread.join(5)


def test_port_that_listens_is_reached_and_one_that_does_not_is_not(monkeypatch):
    """A TCP connection that is made counts."""
    monkeypatch.setattr(isolation_probe, "TARGETS", ())
    monkeypatch.setattr(isolation_probe, "PUBLIC_NAME_SERVERS", ())
    monkeypatch.setattr(isolation_probe, "name_servers", lambda text: [])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isolation_probe.reached(("127.0.0.1", port)) == [f"127.0.0.1:{port}"]
    assert isolation_probe.reached(("127.0.0.1", port)) == []


def report(verified: bool) -> IsolationReport:
    """A report that is verified or not."""
    return IsolationReport(verified=verified, required=True)


def look_through(*verified: bool):
    """A look that gives one report after the other, and the list of what was noted."""
    reports, noted = [report(one) for one in verified], []
    return (lambda: reports[len(noted)]), noted


def test_looks_again_until_verified(monkeypatch):
    """Network policies may take hold late."""
    monkeypatch.setattr(isolation, "RETRY_SECONDS", 0.01)
    look, noted = look_through(False, False, True, False)
    assert verify_until(look, time.monotonic() + 60, noted.append, threading.Event()).verified
    assert [one.verified for one in noted] == [False, False, True]


def test_gives_up_at_the_deadline():
    """It fails closed, after at least one look."""
    look, noted = look_through(False)
    assert not verify_until(look, time.monotonic(), noted.append, threading.Event()).verified
    assert len(noted) == 1


def test_stops_when_told():
    """A pod that is deleted while it looks does not look on."""
    look, noted = look_through(False)
    stop = threading.Event()
    stop.set()
    begun = time.monotonic()
    assert not verify_until(look, begun + 600, noted.append, stop).verified
    assert time.monotonic() - begun < 60
