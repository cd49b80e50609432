"""A server of this machine that is lost and comes back in the same place."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from deepcoder_api.grading import Limits
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.local import LocalSandbox, LocalSandboxError, find_runsc, start_local_sandbox


@pytest.fixture(params=["native", "gvisor"])
def native(request: pytest.FixtureRequest) -> bool:
    """Whether the server is an ordinary process."""
    if request.param == "gvisor" and find_runsc() is None:
        pytest.skip("runsc is neither in build/bin nor in PATH")
    return request.param == "native"


async def test_server_that_is_killed_comes_back_under_its_url_and_the_grade_is_given(native, tmp_path, doubling):
    """Killed in the midst of a program, with every process of it; a client of the same URL has its grade then."""
    folder = tmp_path / "server"

    def start() -> LocalSandbox:
        return start_local_sandbox(native=native, workers=1, folder=folder)

    with await asyncio.to_thread(start) as first:
        async with SandboxClient(first.url) as client:
            program = "import time\ntime.sleep(2)\nprint(2 * int(input()))"
            asked = asyncio.create_task(
                client.grade(doubling, program, id="a", limits=Limits(timeout_seconds=30), deadline_seconds=120)
            )
            await _until_running(first)
            processes = first.processes()
            first.kill()
            assert len(processes) > 1
            assert (first.running, first.processes()) == (False, [])
            first.stop()
            assert not folder.exists()
            with await asyncio.to_thread(start) as second:
                assert second.url == first.url
                assert (await asked).accepted


def test_folder_that_is_there_is_refused(tmp_path):
    """It may be another server's."""
    with pytest.raises(LocalSandboxError, match="is there already"):
        start_local_sandbox(native=True, folder=tmp_path)


async def _until_running(server: LocalSandbox) -> None:
    """Wait for a program to be run."""
    transport = httpx.AsyncHTTPTransport(uds=server.url.removeprefix("unix://"))
    async with httpx.AsyncClient(base_url="http://sandbox", transport=transport) as http, asyncio.timeout(30):
        while "deepcoder_sandbox_running 1.0" not in (await http.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
