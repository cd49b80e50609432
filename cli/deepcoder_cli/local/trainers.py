"""One attempt's trainer pods as local processes: they begin and end together, as the pods of a Job do."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.processes import Addresses, Process, trainer_process
from deepcoder_api.resolve import ResolvedRun
from deepcoder_cli.local.addresses import LOOPBACK, free_port
from deepcoder_cli.local.supervision import LocalProcess, ProcessFailedError, end_all, start_process

# A pod that fails takes replica 0 with it before long, whose message names the cause.
TELL_SECONDS = 10.0
# An attempt that has failed has nothing to finish: its ranks are gone.
FAILED_GRACE_SECONDS = 5.0


class LocalTrainers:
    """The trainers of one attempt, replica 0 first. A context manager: all of them have ended when it is left."""

    def __init__(
        self, run: ResolvedRun, at: Addresses, logs: Path, secrets: Mapping[str, str], *, attempt: int, dataset: str,
        port: int,
    ) -> None:  # fmt: skip
        self._logs = logs
        self._secrets = secrets
        master_port = free_port()
        self._descriptions = [
            _named(
                trainer_process(
                    run, at, attempt=attempt, dataset=dataset, replica_index=str(index), master_address=LOOPBACK,
                    host=LOOPBACK, port=port, weights_port=free_port(), master_port=master_port,
                ),
                index,
            )
            for index in range(run.spec.trainer.replicas)
        ]  # fmt: skip
        self._trainers: list[LocalProcess] = []

    def __enter__(self) -> LocalTrainers:
        try:
            for description in self._descriptions:
                self._trainers.append(start_process(description, self._logs, self._secrets))
        except BaseException:
            end_all(self._trainers, FAILED_GRACE_SECONDS)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = kind is not None and issubclass(kind, ProcessFailedError)
        end_all(self._trainers, FAILED_GRACE_SECONDS if failed else self._descriptions[0].grace_seconds)

    @property
    def running(self) -> bool:
        """Whether replica 0 runs. Raises ProcessFailedError when another one has failed."""
        leader, *others = self._trainers
        if not leader.running:
            return False
        for other in others:
            if not other.running and other.process.returncode:
                with contextlib.suppress(TimeoutError):
                    leader.wait(TELL_SECONDS)
                raise other.failure()
        return True

    def wait(self) -> TerminationMessage | None:
        """What replica 0 left when it ended. Raises ProcessFailedError unless it ended well."""
        return self._trainers[0].wait()


def _named(description: Process, index: int) -> Process:
    """Replica 0 is the trainer; the others have logs of their own."""
    return description if index == 0 else description.model_copy(update={"role": f"trainer-{index}"})
