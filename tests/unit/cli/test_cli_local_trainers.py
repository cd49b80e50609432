"""The trainers of an attempt begin and end together. The processes are real; what they run is a stand-in."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.processes import Addresses
from deepcoder_cli.local import trainers as module
from deepcoder_cli.local.supervision import ProcessFailedError
from deepcoder_cli.local.trainers import LocalTrainers
from tests.resolved_runs import resolved_run

LIVES = "import time; time.sleep(60)"


def trainers(folder: Path, monkeypatch: pytest.MonkeyPatch, *programs: str) -> LocalTrainers:
    """Replicas that run these programs in place of theirs, given the same arguments."""
    describe = module.trainer_process

    def described(*arguments: Any, **options: Any) -> Any:
        found = describe(*arguments, **options)
        program = programs[int(options["replica_index"])]
        return found.model_copy(update={"command": (sys.executable, "-c", program, *found.command[3:])})

    monkeypatch.setattr(module, "trainer_process", described)
    monkeypatch.setattr(module, "TELL_SECONDS", 0.5)
    run = resolved_run(trainer={"replicas": len(programs), "gpusPerReplica": 0})
    return LocalTrainers(run, Addresses(), folder, {}, attempt=4, dataset="s3://d", port=9000)


def to_the_end(attempt: LocalTrainers) -> TerminationMessage | None:
    """Start the attempt and follow it to its end."""
    with attempt:
        while attempt.running:
            time.sleep(0.02)
        return attempt.wait()


def saved_arguments(folder: Path) -> str:
    """A program that writes its arguments to a file named by its replica, and ends."""
    return f"import sys, pathlib; a = sys.argv; pathlib.Path({str(folder)!r}, a[a.index('--replica-index') + 1]).write_text(' '.join(a))"  # noqa: E501


def test_replicas_meet_at_one_port_and_have_ports_and_logs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the pods of a Job, on one machine."""
    with trainers(tmp_path, monkeypatch, *[saved_arguments(tmp_path)] * 2) as attempt:
        attempt.wait()
        attempt._trainers[1].wait(20.0)
    given = [(tmp_path / str(index)).read_text().split() for index in range(2)]
    values = {
        option: [words[words.index(option) + 1] for words in given]
        for option in ("--attempt", "--port", "--master-address", "--master-port", "--weights-port")
    }
    assert values["--attempt"] == ["4", "4"]
    assert values["--port"] == ["9000", "9000"]
    assert values["--master-address"] == ["127.0.0.1", "127.0.0.1"]
    assert len(set(values["--master-port"])) == 1
    assert len(set(values["--weights-port"])) == 2
    assert {file.name for file in tmp_path.glob("*.log")} == {"trainer.log", "trainer-1.log"}


def test_an_attempt_fails_with_any_of_its_replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replica 0 does not notice that the other has gone; it is ended with it, without the grace of a good end."""
    attempt = trainers(tmp_path, monkeypatch, LIVES, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ProcessFailedError, match="trainer-1 failed: exit code -9"):
        to_the_end(attempt)
    assert not any(trainer.running for trainer in attempt._trainers)


def test_the_end_is_replica_0s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others have nothing to tell, and are ended with it."""
    leaving = (
        'import os; open(os.environ[\'TERMINATION_LOG\'], \'w\').write(\'{"outcome": "done", "uri": "s3://b/m"}\')'
    )
    attempt = trainers(tmp_path, monkeypatch, leaving, LIVES)
    message = to_the_end(attempt)
    assert message is not None
    assert message.uri == "s3://b/m"
    assert not any(trainer.running for trainer in attempt._trainers)
