"""A run's rollout servers as local processes: started once for all attempts, and again when one of them ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deepcoder_api.processes import Addresses, Process, rollout_process
from deepcoder_api.resolve import ResolvedRun
from deepcoder_cli.local.addresses import LOOPBACK, free_port
from deepcoder_cli.local.supervision import LocalProcess, ProcessFailedError, end_all, start_process


class LocalRollouts:
    """The servers of one run. A context manager: all of them have ended when it is left."""

    def __init__(
        self, run: ResolvedRun, at: Addresses, logs: Path, secrets: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._run = run
        self._at = at
        self._logs = logs
        self._secrets = secrets
        self._say = say
        self._restarts = 0
        self._servers: list[LocalProcess] = []
        self._generate_ports: dict[int, int] = {}

    @property
    def generate_urls(self) -> list[str]:
        """Where each server's vLLM is asked, and tells its metrics."""
        return [f"http://{LOOPBACK}:{port}" for _, port in sorted(self._generate_ports.items())]

    def __enter__(self) -> LocalRollouts:
        try:
            for index in range(self._run.spec.rollout.replicas):
                self._servers.append(self._start(index))
        except BaseException:
            end_all(self._servers)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end_all(self._servers)

    def revive(self) -> None:
        """Start again what has ended. Raises ProcessFailedError when failurePolicy.maxRestarts are used up."""
        for index, server in enumerate(self._servers):
            if server.running:
                continue
            failure = server.failure()
            self._restarts += 1
            if self._restarts > self._run.spec.failure_policy.max_restarts:
                raise RolloutsFailedError(failure)
            self._say(f"{server.role} ended with exit code {failure.code} and starts again (log: {server.log})")
            server.end()
            self._servers[index] = self._start(index)

    def _start(self, index: int) -> LocalProcess:
        description = self._description(index)
        self._generate_ports[index] = description.ports["generate"]
        return start_process(description, self._logs, self._secrets)

    def _description(self, index: int) -> Process:
        process = rollout_process(
            self._run,
            self._at,
            host=LOOPBACK,
            port=free_port(),
            generate_port=free_port(),
            shards_port=free_port(),
        )
        name = f"rollout-{index}"
        environment = {**process.environment, "HOSTNAME": f"{name}-{self._run.uid[:8]}"}
        return process.model_copy(update={"role": name, "environment": environment})


class RolloutsFailedError(ProcessFailedError):
    """Rollout servers end again and again: another attempt of the trainer cannot help."""

    def __init__(self, last: ProcessFailedError) -> None:
        super().__init__(last.role, last.code, last.message, last.log)

    @property
    def retryable(self) -> bool:
        """Never: the restarts are used up."""
        return False
