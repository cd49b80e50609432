"""A server whose pod is forced away says nothing more, not even that its connections are closed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from deepcoder_api.grading import GradeResult, Limits, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import SandboxClient

MISSING = (
    "needs root to make network namespaces"
    if os.geteuid() != 0
    else "needs ip: apt-get install iproute2"
    if shutil.which("ip") is None
    else ""
)
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

NODE, POD, PORT = "198.51.100.1", "198.51.100.2", 8000  # RFC 5737: addresses for documentation
CLONE_NEWNET = 0x40000000
DOUBLING = TestSuite(tests=(StdinTest(input="7\n", output="14\n"),))
SILENT_SECONDS = 4


class Pod:
    """A namespace behind a cable, where a server takes requests; those sent while `answers` is False are kept waiting.

    `asked` is set when one waits.
    """

    def __init__(self, name: str) -> None:
        self._name, self._cable = name, f"to-{name}"[:15]
        self.answers = False
        self.asked = threading.Event()
        _ip("netns", "add", name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{NODE}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        _ip("-n", name, "address", "add", f"{POD}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        listening = threading.Event()
        threading.Thread(target=self._serve, args=[listening], daemon=True).start()
        assert listening.wait(10)

    def pull(self) -> None:
        """Nothing gets through from now on, in either direction."""
        _ip("-n", self._name, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """What is sent gets through again."""
        _ip("-n", self._name, "link", "set", "eth0", "up")

    def remove(self) -> None:
        """The cable goes, and with it the namespace's last connection to anything."""
        _ip("link", "del", self._cable)
        _ip("netns", "del", self._name)

    def _serve(self, listening: threading.Event) -> None:
        with open(f"/run/netns/{self._name}") as namespace:
            assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0
        with socket.create_server((POD, PORT)) as server:
            listening.set()
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.recv(1 << 16)
        if self.answers:
            body = GradeResult(id="a", verdict=Verdict.ACCEPTED).model_dump_json().encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            connection.sendall(head + body)
            connection.close()
        self.asked.set()
        self._kept = connection  # open, and never answered


@pytest.fixture
def pod() -> Iterator[Pod]:
    """A pod with a server that keeps every request waiting until it is told to answer."""
    made = Pod(f"silent{os.getpid()}")
    try:
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


async def _grade(client: SandboxClient) -> GradeResult:
    return await client.grade(DOUBLING, "print(14)", id="a", limits=Limits(), deadline_seconds=60)


async def test_grade_is_asked_for_again_when_its_server_has_vanished(pod: Pod) -> None:
    """Not after the grade's own deadline, which in training is an hour: after a few seconds of silence."""
    async with SandboxClient(f"http://{POD}:{PORT}", silent_seconds=SILENT_SECONDS) as client:
        grade = asyncio.create_task(_grade(client))
        assert await asyncio.to_thread(pod.asked.wait, 10)
        pod.pull()
        vanished = time.monotonic()
        await asyncio.sleep(SILENT_SECONDS + 1)
        pod.answers = True
        pod.plug()
        assert (await asyncio.wait_for(grade, 30)).accepted
        assert time.monotonic() - vanished < 30


async def test_grade_that_takes_long_is_waited_for_while_its_server_lives(pod: Pod) -> None:
    """A program that runs for long is no silence: the server's kernel answers for it."""
    async with SandboxClient(f"http://{POD}:{PORT}", silent_seconds=SILENT_SECONDS) as client:
        grade = asyncio.create_task(_grade(client))
        assert await asyncio.to_thread(pod.asked.wait, 10)
        pod.asked.clear()
        await asyncio.sleep(2 * SILENT_SECONDS)
        assert not pod.asked.is_set(), "nothing was asked twice"
        assert not grade.done()
        grade.cancel()
        await asyncio.gather(grade, return_exceptions=True)
