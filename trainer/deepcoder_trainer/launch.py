"""`python -m deepcoder_trainer.launch`: one trainer pod. torchrun over its ranks, the server of the weights that they
publish and, on index 0, the orchestrator.

Watches ranks and orchestrator: when one ends the other is ended in bounded time, and what ended first is told in the
termination message. The server of weights holds nothing but files, so it is started again when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
import structlog

from deepcoder_api.lifecycle import EXIT_PERMANENT, TerminationMessage, parse_termination_message
from deepcoder_api.processes import MASTER_PORT
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.termination import configure_logging, finish
from deepcoder_trainer.rank_protocol import RankFailure

START_SECONDS = 300.0
# An end that one side has told the other of: how long the other may take to leave by itself.
FOLLOW_SECONDS = 30.0
# Asked to stop: the orchestrator may leave a checkpoint in this time. The pod's grace is 60 s.
STOP_SECONDS = 50.0
KILL_SECONDS = 5.0
TAIL_LINES = 40
READ_BYTES = 1 << 16
PR_SET_PDEATHSIG = 1
SHARED_MEMORY = Path("/dev/shm")
# The version that servers hold or fetch, and the one that is written.
VERSIONS_AT_ONCE = 2
WEIGHT_SERVER_PAUSE_SECONDS = 1.0
log = structlog.get_logger("launch")


@dataclass(eq=False)
class Child:
    """A process of ours in a group of its own, and the last lines it wrote to standard error."""

    name: str
    process: asyncio.subprocess.Process
    ended: asyncio.Task[int]
    reader: asyncio.Task[None]
    tail: deque[str]

    def send(self, number: signal.Signals) -> None:
        """Signal the process alone; it is the one that knows how to end its own children."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, patience_seconds: float) -> int:
        """Wait for its end, then ask, then force. Returns the exit code, negative for a signal."""
        for number, seconds in ((None, patience_seconds), (signal.SIGTERM, FOLLOW_SECONDS), (None, 0.0)):
            if number is not None:
                self.send(number)
            await asyncio.wait({self.ended}, timeout=seconds)
            if self.ended.done():
                break
        else:
            log.warning("ended by force", process=self.name)
            _kill_group(self.process.pid)
        code = await self.ended
        _kill_group(self.process.pid)  # whatever it left behind
        await asyncio.wait({self.reader}, timeout=1.0)
        return code


def ranks_command(run: ResolvedRun, arguments: argparse.Namespace, weights: Path) -> list[str]:
    """torchrun over this pod's ranks: one a GPU, or one on CPU. They publish to `weights`."""
    trainer = run.spec.trainer
    if trainer.replicas == 1:
        rendezvous = ["--standalone"]  # picks free ports: several local runs do not meet
        orchestrator = f"http://127.0.0.1:{arguments.port}"
    else:
        rendezvous = [
            *("--nnodes", str(trainer.replicas), "--node-rank", str(arguments.replica_index)),
            *("--master-addr", arguments.master_address, "--master-port", str(arguments.master_port)),
        ]
        host = "127.0.0.1" if arguments.replica_index == 0 else arguments.master_address
        orchestrator = f"http://{host}:{arguments.port}"
    return [
        *(sys.executable, "-m", "torch.distributed.run", *rendezvous),
        *("--nproc-per-node", str(max(1, trainer.gpus_per_replica)), "--max-restarts", "0"),
        *("-m", "deepcoder_trainer.ranks", "--orchestrator", orchestrator, "--attempt", str(arguments.attempt)),
        *("--weights-dir", str(weights)),
        *("--weights-url", f"http://{arguments.host}:{arguments.weights_port}"),
    ]


def weight_server_command(arguments: argparse.Namespace, weights: Path) -> list[str]:
    """The server of what this pod's ranks publish to `weights`."""
    return [
        *(sys.executable, "-m", "deepcoder_trainer.weight_server", "--attempt", str(arguments.attempt)),
        *("--weights-dir", str(weights), "--bind", arguments.bind, "--port", str(arguments.weights_port)),
    ]


def weights_folder(run: ResolvedRun, arguments: argparse.Namespace) -> Path:
    """Where this pod's ranks publish: in shared memory where its share fits twice over, else in the work folder."""
    model = sum(file.stat().st_size for file in arguments.model_dir.glob("*.safetensors"))
    needed = 2 * VERSIONS_AT_ONCE * model / run.spec.trainer.replicas
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > needed:
        return SHARED_MEMORY / f"{_weights_of(run)}{arguments.attempt}-{arguments.replica_index}"
    return arguments.work_dir / f"weights-{arguments.replica_index}"


def remove_weights_of_earlier_attempts(run: ResolvedRun, attempt: int, memory: Path = SHARED_MEMORY) -> None:
    """Free what attempts that were killed have left in shared memory, where it outlives their processes."""
    for folder in memory.glob(f"{_weights_of(run)}*"):
        number = folder.name.removeprefix(_weights_of(run)).partition("-")[0]
        if number.isdigit() and int(number) < attempt:
            shutil.rmtree(folder, ignore_errors=True)


def _weights_of(run: ResolvedRun) -> str:
    return f"deepcoder-weights-{run.uid[:8]}-"


def orchestrator_command(arguments: argparse.Namespace) -> list[str]:
    """The orchestrator of this attempt."""
    return [
        *(sys.executable, "-m", "deepcoder_trainer.orchestrator", "--attempt", str(arguments.attempt)),
        *("--dataset", arguments.dataset, "--sandbox", arguments.sandbox, "--model-dir", str(arguments.model_dir)),
        *("--port", str(arguments.port), "--bind", arguments.bind, "--work-dir", str(arguments.work_dir)),
    ]


def rank_exit(tail: str) -> str:
    """What torchrun's report says of the rank that failed first, for people; empty when it says nothing."""
    root = re.search(r"Root Cause.*?rank\s*:\s*(\d+).*?exitcode\s*:\s*(-?\d+)", tail, re.DOTALL)
    if root is None:
        return ""
    rank, code = root.groups()
    cause = " (killed: out of memory?)" if code == "-9" else ""
    return f"rank {rank} ended with exit code {code}{cause}"


def ending(code: int, message: TerminationMessage | None, ranks_tail: str, what: str) -> TerminationMessage:
    """The pod's termination message, from what the process that counts left and its exit code."""
    if message is not None:
        return message
    if code == 0:
        return TerminationMessage(outcome="done", reason="Completed")
    cause = rank_exit(ranks_tail) or f"{what} ended with exit code {code} and left no message"
    outcome = "permanent" if code == EXIT_PERMANENT else "retryable"
    return TerminationMessage(outcome=outcome, reason="ProcessEnded", cause=cause)


class Pod:
    """The processes of one trainer pod."""

    def __init__(self, run: ResolvedRun, arguments: argparse.Namespace) -> None:
        self._run = run
        self._arguments = arguments
        self._message_file = Path(arguments.work_dir) / "orchestrator.end"
        self._weights = weights_folder(run, arguments)
        self._stop = asyncio.Event()

    async def live(self) -> TerminationMessage:
        """Start everything, wait for an end, and say what it was."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        await asyncio.to_thread(remove_weights_of_earlier_attempts, self._run, self._arguments.attempt)
        await asyncio.to_thread(shutil.rmtree, self._weights, ignore_errors=True)
        serving = asyncio.create_task(keep_serving(weight_server_command(self._arguments, self._weights)))
        try:
            return await self._train()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await asyncio.to_thread(shutil.rmtree, self._weights, ignore_errors=True)

    async def _train(self) -> TerminationMessage:
        orchestrator = await self._start_orchestrator() if self._arguments.replica_index == 0 else None
        if orchestrator is not None and not await self._serves(orchestrator):
            return await self._end_without_ranks(orchestrator)
        ranks = await _start("ranks", ranks_command(self._run, self._arguments, self._weights), {}, signal.SIGTERM)
        stopping = asyncio.create_task(self._stop.wait())
        ends = {ranks.ended, stopping} | ({orchestrator.ended} if orchestrator else set())
        await asyncio.wait(ends, return_when="FIRST_COMPLETED")
        stopping.cancel()
        if orchestrator is None:
            return await self._end_of_follower(ranks)
        return await self._end_of_leader(orchestrator, ranks)

    async def _end_of_leader(self, orchestrator: Child, ranks: Child) -> TerminationMessage:
        if self._stop.is_set():
            orchestrator.send(signal.SIGTERM)
            await asyncio.wait({orchestrator.ended}, timeout=STOP_SECONDS)
        elif ranks.ended.done() and not orchestrator.ended.done():
            await self._tell_of_ranks(ranks)
        code = await orchestrator.end(0.0 if self._stop.is_set() else FOLLOW_SECONDS)
        await ranks.end(KILL_SECONDS if self._stop.is_set() or code else FOLLOW_SECONDS)
        return ending(code, self._message(), "\n".join(ranks.tail), "the orchestrator")

    async def _end_of_follower(self, ranks: Child) -> TerminationMessage:
        # The ranks leave when the orchestrator, on another pod, lets them.
        code = await ranks.end(STOP_SECONDS)
        return ending(code, None, "\n".join(ranks.tail), "torchrun")

    async def _end_without_ranks(self, orchestrator: Child) -> TerminationMessage:
        code = await orchestrator.end(0.0)
        return ending(code or 1, self._message(), "", "the orchestrator")

    async def _start_orchestrator(self) -> Child:
        self._message_file.parent.mkdir(parents=True, exist_ok=True)
        self._message_file.unlink(missing_ok=True)
        environment = {"TERMINATION_LOG": str(self._message_file)}
        return await _start("orchestrator", orchestrator_command(self._arguments), environment, signal.SIGKILL)

    async def _serves(self, orchestrator: Child) -> bool:
        """Whether it answers before its end, the stop, or the deadline."""
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while time.monotonic() < deadline and not orchestrator.ended.done() and not self._stop.is_set():
                try:
                    if (await client.get(f"{self._own_url}/healthz")).status_code == 200:
                        return True
                except httpx.HTTPError:
                    pass  # not listening yet
                await asyncio.wait({orchestrator.ended}, timeout=0.1)
        return False

    async def _tell_of_ranks(self, ranks: Child) -> None:
        """The ranks ended without a word, or after one: the first word counts with the orchestrator."""
        said = rank_exit("\n".join(ranks.tail))
        cause = said or f"the ranks ended with exit code {ranks.ended.result()} before the run was done"
        failure = RankFailure(rank=0, cause=cause)
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            try:
                await client.post(f"{self._own_url}/v1/ranks/failures", content=failure.model_dump_json())
            except httpx.HTTPError as error:
                log.warning("the orchestrator could not be told", error=repr(error))

    @property
    def _own_url(self) -> str:
        return f"http://127.0.0.1:{self._arguments.port}"

    def _message(self) -> TerminationMessage | None:
        try:
            return parse_termination_message(self._message_file.read_text())
        except FileNotFoundError:
            return None


async def keep_serving(command: list[str]) -> NoReturn:
    """Keep a server of weights running. Without one rollouts fall behind until the orchestrator gives them up."""
    while True:
        server = await _start("weights", command, {}, signal.SIGKILL)
        try:
            code = await asyncio.shield(server.ended)
        except asyncio.CancelledError:
            _kill_group(server.process.pid)
            raise
        log.warning("the server of weights ended and starts again", exit_code=code)
        await asyncio.sleep(WEIGHT_SERVER_PAUSE_SECONDS)


async def _start(name: str, command: list[str], environment: dict[str, str], when_we_die: signal.Signals) -> Child:
    """Start a child that does not outlive us; its standard error passes through and its last lines are kept."""
    # A pipe of our own: asyncio's would make the wait for the child a wait for all that inherited its standard error.
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stderr=write_end,
        start_new_session=True,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, when_we_die),
    )
    os.close(write_end)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    reader = asyncio.create_task(_pass_through(read_end, tail))
    log.info("started", process=name, pid=process.pid, command=command)
    return Child(name, process, asyncio.create_task(process.wait()), reader, tail)


async def _pass_through(read_end: int, tail: deque[str]) -> None:
    stream = asyncio.StreamReader(limit=1 << 20)
    with os.fdopen(read_end, "rb") as pipe:
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        unfinished = b""  # the line that the tail ends with, as far as it has come
        while chunk := await stream.read(READ_BYTES):
            with contextlib.suppress(OSError):  # a full disk: a pipe that nobody reads would hold the child up
                sys.stderr.buffer.write(chunk)
                sys.stderr.flush()
            if unfinished:
                tail.pop()
            lines = (unfinished + chunk).splitlines()
            tail.extend(line.decode(errors="replace") for line in lines)
            goes_on = not chunk.endswith((b"\n", b"\r")) and len(lines[-1]) < READ_BYTES
            unfinished = lines[-1] if goes_on else b""


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deepcoder_trainer.launch", description=__doc__)
    parser.add_argument("--attempt", type=int, required=True, help="life of the trainer pods, counted from 1")
    parser.add_argument("--dataset", required=True, help="URI of the prepared dataset")
    parser.add_argument("--sandbox", required=True, help="URL of the grading servers")
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--work-dir", type=Path, required=True, help="a folder for batches and checkpoints")
    parser.add_argument("--port", type=int, default=8700, help="the orchestrator's port")
    parser.add_argument("--bind", default="0.0.0.0", help="address that the orchestrator listens on")
    parser.add_argument("--replica-index", type=int, default=0, help="index of this pod; 0 holds the orchestrator")
    parser.add_argument("--master-address", default="127.0.0.1", help="address of pod 0")
    parser.add_argument("--master-port", type=int, default=MASTER_PORT, help="port of pod 0 at which ranks meet")
    parser.add_argument("--host", default="127.0.0.1", help="address that rollout servers reach this pod by")
    parser.add_argument("--weights-port", type=int, default=8701, help="port that published weights are served at")
    return parser.parse_args()


def main() -> None:
    """Run the pod to its end."""
    configure_logging()
    arguments = _arguments()
    run = ResolvedRun.model_validate_json(Path(os.environ["DEEPCODER_CONFIG"]).read_text())
    finish(asyncio.run(Pod(run, arguments).live()))


if __name__ == "__main__":
    main()
