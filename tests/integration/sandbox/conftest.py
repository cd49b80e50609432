"""A real grading server for the tests of this folder: once native, once under runsc, for the whole session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deepcoder_api.grading import GradeResult, Limits
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.local import LocalSandbox, find_runsc, start_local_sandbox

LIMITS = Limits(timeout_seconds=8, memory_mib=256, output_mib=1, processes=16)
DEADLINE_SECONDS = 120.0

Grade = Callable[..., Awaitable[GradeResult]]


@pytest.fixture(scope="session", params=["native", "gvisor"])
def server(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    """A server with two slots, as a process or under runsc. Nothing is left of it."""
    if request.param == "gvisor" and find_runsc() is None:
        pytest.skip("runsc is neither in build/bin nor in PATH")
    with start_local_sandbox(native=request.param == "native", workers=2, arguments=["--queue", "512"]) as sandbox:
        yield sandbox
    folder = sandbox.log_path.parent
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()


@pytest.fixture
async def client(server: LocalSandbox) -> AsyncIterator[SandboxClient]:
    """A client of `server`."""
    async with SandboxClient(server.url) as client:
        yield client


@pytest.fixture
def grade(client: SandboxClient) -> Grade:
    """Grade a program against a suite under small limits."""

    async def grade(suite: TestSuite, program: str, limits: Limits = LIMITS, **options: bool) -> GradeResult:
        return await client.grade(
            suite, program, id="test", limits=limits, deadline_seconds=DEADLINE_SECONDS, **options
        )

    return grade


@pytest.fixture
async def http(server: LocalSandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP to `server`."""
    transport = httpx.AsyncHTTPTransport(uds=server.url.removeprefix("unix://"))
    async with httpx.AsyncClient(base_url="http://sandbox", transport=transport, timeout=60) as http:
        yield http


@pytest.fixture
def doubling() -> TestSuite:
    """Three numbers to double over standard input and output; the tests differ, so no one answer fits all."""
    return TestSuite(tests=tuple(StdinTest(input=f"{n}\n", output=f"{2 * n}\n") for n in (7, 12, 40)))


@pytest.fixture
async def clean(grade: Grade, http: httpx.AsyncClient, doubling: TestSuite) -> Callable[[], Awaitable[None]]:
    """A check that an honest program passes in this server and that no process of a program is left."""

    async def check() -> None:
        suite = doubling.model_copy(update={"tests": doubling.tests[:1]})
        for _ in range(2):  # both slots, as they take turns
            honest = await grade(suite, "print(2 * int(input()))")
            assert honest.accepted, honest
        lines = (await http.get("/metrics")).text.splitlines()
        assert "deepcoder_sandbox_forked_processes 0.0" in lines

    return check
