"""`python -m deepcoder_sandbox.server`: command line, start, isolation gate, serving, drain on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from deepcoder_api.connections import BACKLOG, listener
from deepcoder_api.lifecycle import EXIT_PERMANENT, TERMINATION_LOG, TerminationMessage
from deepcoder_api.log_stream import standard_error
from deepcoder_sandbox import isolation
from deepcoder_sandbox.application import GradingApplication
from deepcoder_sandbox.grading_pool import GradingPool, default_workers
from deepcoder_sandbox.launcher import LauncherFailedError
from deepcoder_sandbox.problem_cache import ProblemCache

MIB = 1024 * 1024
# Between the end of the drain and that of the process: the last answers are on their way, then the zygotes end.
CLOSE_SECONDS = 5.0
log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. Returns the exit status: 0, or 64 when isolation is required and cannot be shown."""
    options = _options(arguments)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(standard_error()),
    )
    registry = CollectorRegistry()
    scratch = options.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    pool = GradingPool(workers=options.workers, queue_size=options.queue, scratch=scratch, registry=registry)
    try:
        missing = pool.start()  # before any thread
    except LauncherFailedError as error:
        return _give_up(options.termination_log, f"ZygoteFailed: {error}")
    application = GradingApplication(pool, ProblemCache(options.cache_mib * MIB, registry), registry)
    try:
        return asyncio.run(_serve(options, application, missing))
    finally:
        pool.close()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deepcoder_sandbox.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one; the log names it")
    parser.add_argument("--uds", type=Path, help="a unix socket in place of host and port")
    parser.add_argument("--workers", type=int, default=default_workers(), help="programs at once; default one per core")
    parser.add_argument("--queue", type=int, default=256, help="programs that may wait; more are answered 429")
    parser.add_argument("--cache-mib", type=int, default=256, help="bound on cached test suites, in MiB")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/deepcoder-sandbox"), help="a writable folder")
    parser.add_argument("--require-isolation", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--isolation-deadline-seconds", type=float, default=120.0)
    parser.add_argument("--drain-seconds", type=float, default=45.0, help="bound on finishing what was accepted")
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG))
    return parser.parse_args(arguments)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: ours drains first, and answers 503 meanwhile."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def _serve(options: argparse.Namespace, application: GradingApplication, missing: dict[str, str]) -> int:
    config = uvicorn.Config(
        application.starlette(), log_config=None, access_log=False, timeout_keep_alive=75, lifespan="off"
    )
    server = _Server(config)
    at = _listen(options)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("serving", address=_address(options, at), workers=options.workers, missing_namespaces=missing)
    serving = asyncio.create_task(server.serve([at]))
    looking_ends = threading.Event()
    canary = asyncio.create_task(_verify(options, application, missing, looking_ends))
    stopping = asyncio.create_task(stop.wait())
    status = 0
    await asyncio.wait({serving, canary, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done() and not stopping.done():
        status = canary.result()
        if status == 0:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    looking_ends.set()
    canary.cancel()
    finished = await application.drain(options.drain_seconds)
    log.info("drained", finished=finished, still_running=application.pool.in_flight)
    server.should_exit = True
    stopping.cancel()
    await asyncio.wait({serving}, timeout=CLOSE_SECONDS)
    if options.uds:
        options.uds.unlink(missing_ok=True)
    return status


async def _verify(
    options: argparse.Namespace, application: GradingApplication, missing: dict[str, str], stop: threading.Event
) -> int:
    """Open the gate once isolation is shown, or need not be. Returns the exit status to end with, 0 to go on."""
    required = options.require_isolation
    wait = options.isolation_deadline_seconds if required else 0.0
    report = await asyncio.to_thread(
        isolation.verify_until,
        lambda: isolation.verify(application.pool.run, missing, required),
        time.monotonic() + wait,
        lambda seen: log.info("isolation", verified=seen.verified, kernel=seen.kernel, failures=seen.failures),
        stop,
    )
    if required and not report.verified:
        return _give_up(options.termination_log, "IsolationFailed: " + "; ".join(report.failures))
    application.isolation = report
    if not report.verified:
        log.warning("serving WITHOUT verified isolation: model-written code may harm this machine")
    return 0


def _give_up(termination_log: Path, cause: str) -> int:
    log.error("giving up", cause=cause)
    message = TerminationMessage(outcome="permanent", reason=cause.partition(":")[0], cause=cause[:2048])
    if termination_log.exists():
        termination_log.write_text(message.model_dump_json())
    return EXIT_PERMANENT


def _listen(options: argparse.Namespace) -> socket.socket:
    if not options.uds:
        return listener(options.host, options.port)
    options.uds.unlink(missing_ok=True)
    at = socket.socket(socket.AF_UNIX)
    at.bind(str(options.uds))
    options.uds.chmod(0o666)
    at.listen(BACKLOG)
    return at


def _address(options: argparse.Namespace, at: socket.socket) -> str:
    if options.uds:
        return f"unix://{options.uds}"
    host, port = at.getsockname()[:2]
    return f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
