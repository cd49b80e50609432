"""Ranks forked from one process that has imported the engine: the imports cost 12 seconds of a core, each time.

Nothing of torchrun is here but the environment that it gives: tests/integration/trainer/test_trainer_ranks.py and every
run have torchrun itself.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from tests.rollout_servers import free_port

IMPORTED = [
    "deepspeed",
    "deepcoder_trainer.ranks",
    "tests.integration.trainer.engine_jobs",
    "transformers.models.qwen2.modeling_qwen2",
]
_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Ranks:
    """Ranks that were started together; all they print is in `log`."""

    processes: Sequence[multiprocessing.context.ForkServerProcess]
    log: Path

    def finish(self, seconds: float) -> None:
        """Wait until all have ended well. Raises AssertionError, with the end of the log, when one did not in time."""
        deadline = time.monotonic() + seconds
        try:
            for process in self.processes:
                process.join(max(0.0, deadline - time.monotonic()))
                assert process.exitcode == 0, f"exit code {process.exitcode}:\n{self.log.read_text()[-6000:]}"
        finally:
            self.kill()

    def kill(self) -> None:
        """End them as a lost node would."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join(60)


def start_ranks(
    count: int, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Ranks:
    """`module`'s main in `count` ranks of one node, with one thread each."""
    _start_server()
    port, log_file = str(free_port()), str(log)
    processes = []
    for rank in range(count):
        own = {
            **(environment or {}), "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        processes.append(_CONTEXT.Process(target=_rank, args=(module, list(arguments), own, log_file)))
        processes[-1].start()
    return Ranks(processes, log)


def _start_server() -> None:
    """The process that ranks are forked from, once: with the threads that it is started with."""
    _CONTEXT.set_forkserver_preload(IMPORTED)
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}):
        forkserver.ensure_running()


def _rank(module: str, arguments: list[str], environment: dict[str, str], log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # The server passes over what it cannot import: without this the ranks would only be slow.
    assert not (missing := set(IMPORTED) - sys.modules.keys()), missing
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
