"""A rollout server without an orchestrator: started, given weights by our plug-in, asked by our own generator."""

from __future__ import annotations

import asyncio
import functools
import http.server
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.trainer.cores import pinned
from deepcoder_api.artifacts import FileDigest
from deepcoder_api.http_transport import AiohttpTransport
from deepcoder_api.processes import Addresses, rollout_process
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.rollout import Heartbeat, Shard, WeightOrder, shard_url
from deepcoder_cli.local.addresses import LOOPBACK, free_port
from deepcoder_cli.local.supervision import start_process
from deepcoder_data.folders import file_digest
from deepcoder_trainer.orchestrator.generation import Answer, Generator, Question
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry

UP_SECONDS = 900.0
LOAD_SECONDS = 120.0
HEARTBEAT_SECONDS = 1.0
NAME = "policy-server"


@dataclass(frozen=True)
class ServerUrls:
    """Where the agent takes orders and where vLLM is asked."""

    agent: str
    generate: str


@contextmanager
def running_server(run: ResolvedRun, at: Addresses, folder: Path, core: int | None = None) -> Iterator[ServerUrls]:
    """The rollout server of `run`, with its base model loaded. Logs go under `folder`.

    Raises ProcessFailedError or TimeoutError when it does not come up.
    """
    ports = {"port": free_port(), "generate_port": free_port()}
    # Nobody is an orchestrator here: the agent finds none, says so once, and takes orders all the same.
    process = rollout_process(run, at, host=LOOPBACK, **ports)
    process = process.model_copy(
        update={"environment": {**process.environment, "HOSTNAME": f"{NAME}-{run.uid[:8]}"}, "secrets": ()}
    )
    with pinned(core):
        server = start_process(process, folder, {})
    with ExitStack() as stack:
        stack.callback(server.end)
        urls = ServerUrls(f"http://{LOOPBACK}:{ports['port']}", f"http://{LOOPBACK}:{ports['generate_port']}")
        deadline = time.monotonic() + UP_SECONDS
        while not is_up(server.log):
            if not server.running:
                raise server.failure()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the rollout server is not up after {UP_SECONDS:.0f} s (log: {server.log})")
            time.sleep(0.5)
        yield urls


class PolicyClient:
    """Gives a server weights and asks it. An async context manager; `folder` is served while inside."""

    def __init__(self, urls: ServerUrls, folder: Path, attempt: int = 1) -> None:
        """`attempt` is above that of every client before: a server takes no older weights than it has."""
        self._urls = urls
        self._folder = folder
        self._attempt = attempt
        self._version = 0
        self._stack = ExitStack()
        self._registry = RolloutRegistry(Policy(attempt, 0), time.monotonic)

    async def __aenter__(self) -> PolicyClient:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._weights_url = self._stack.enter_context(_serving(self._folder))
        self._client = httpx.AsyncClient(transport=AiohttpTransport(), timeout=30.0, trust_env=False)
        self._generator = Generator(self._registry, self._client)
        beat = Heartbeat(
            server=NAME, generate_url=self._urls.generate, agent_url=self._urls.agent, shards_url=self._urls.agent,
            node=NAME, attempt=self._attempt, version=0, ready=True,
        )  # fmt: skip
        self._registry.heard(beat)
        self._beats = asyncio.create_task(self._hear(beat))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beats.cancel()
        await asyncio.gather(self._beats, return_exceptions=True)
        await self._client.aclose()
        self._stack.close()

    async def _hear(self, beat: Heartbeat) -> None:
        """What the agent would tell an orchestrator: a server that failed a request is asked again after the next."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._registry.heard(beat)

    def next_folder(self) -> Path:
        """An empty folder for the next weights, which `load` takes."""
        route = shard_url("http://trainer", self._attempt, self._version + 1, "file")
        folder = self._folder / urlsplit(route).path.strip("/").rpartition("/")[0]
        folder.mkdir(parents=True)
        return folder

    async def load(self, folder: Path) -> None:
        """Have the server take over `folder`/*.safetensors, which `next_folder` gave and which is then removed.

        Raises httpx.HTTPError.
        """
        self._version += 1
        files = await asyncio.to_thread(_digests, folder)
        shards = tuple(Shard(**file.model_dump(), trainer=self._weights_url) for file in files)
        order = WeightOrder(attempt=self._attempt, version=self._version, shards=shards, deadline_seconds=LOAD_SECONDS)
        response = await self._client.post(
            f"{self._urls.agent}/v1/weights", json=order.model_dump(mode="json"), timeout=3 * LOAD_SECONDS
        )
        response.raise_for_status()
        await asyncio.to_thread(shutil.rmtree, folder)

    async def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in the order of the questions, all asked at once."""
        async with self._generator.place(len(questions)) as place, asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._generator.ask(question, place)) for question in questions]
        return [answer.result() for answer in asked]


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The files of a folder by HTTP on the loopback; the URL."""
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10.0)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


def _digests(folder: Path) -> tuple[FileDigest, ...]:
    return tuple(file_digest(file, file.name) for file in sorted(folder.glob("*.safetensors")))


def is_up(log: Path) -> bool:
    """Whether a rollout server's log says that it takes orders: ready it is once an orchestrator has told it more."""
    try:
        return "server is up" in log.read_text(errors="replace")
    except FileNotFoundError:
        return False
