"""Real processes: what they are given, how their end is told, and that none is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepcoder_api.processes import Process, SecretVariable
from deepcoder_cli.local.supervision import ProcessFailedError, end_all, run_process, start_process

PATIENCE_SECONDS = 20.0
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"


def process(program: str, **changes: object) -> Process:
    """A process of the role `worker` that runs a Python program."""
    given = Process(role="worker", image="worker", command=(sys.executable, "-c", program))
    return given.model_copy(update=changes)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come about, with a deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def leaving(message: str, code: int) -> str:
    """A program that leaves a termination message and an exit code."""
    return f"import os, sys; open(os.environ['TERMINATION_LOG'], 'w').write({message!r}); sys.exit({code})"


def test_termination_message_is_returned(tmp_path: Path) -> None:
    """What came before runs first, and the end's message is what it made."""
    first = process(f"open({str(tmp_path / 'first')!r}, 'w').close()", role="first")
    program = leaving('{"outcome": "done", "uri": "s3://bucket/made"}', 0)
    program = f"assert __import__('os').path.exists({str(tmp_path / 'first')!r})\n{program}"
    message = run_process(process(program, before=(first,)), tmp_path / "logs", {}, PATIENCE_SECONDS)
    assert message is not None
    assert message.uri == "s3://bucket/made"


def test_message_of_an_earlier_process_is_forgotten(tmp_path: Path) -> None:
    """A process that leaves nothing has no message, whatever its predecessor said."""
    run_process(process(leaving('{"outcome": "done", "uri": "old"}', 0)), tmp_path, {}, PATIENCE_SECONDS)
    assert run_process(process("pass"), tmp_path, {}, PATIENCE_SECONDS) is None


@pytest.mark.parametrize(
    ("program", "said", "retryable"),
    [
        (leaving('{"outcome": "permanent", "cause": "the bucket is not there"}', 64), "the bucket is not there", False),
        (leaving('{"outcome": "retryable", "cause": "the store is away"}', 75), "the store is away", True),
        ("raise SystemExit('no such luck')", "exit code 1; last lines:\nno such luck", True),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9", True),
    ],
)
def test_failure_says_its_cause(program: str, said: str, retryable: bool, tmp_path: Path) -> None:
    """The message's cause, or the last lines of the log; only a permanent end is not worth another attempt."""
    with pytest.raises(ProcessFailedError) as caught:
        run_process(process(program), tmp_path, {}, PATIENCE_SECONDS)
    assert said in str(caught.value)
    assert f"(log: {tmp_path / 'worker.log'})" in str(caught.value)
    assert caught.value.retryable is retryable


def test_environment_is_the_description_and_little_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that are not asked for do not reach a process, though the caller has them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the caller")
    monkeypatch.setenv("HF_TOKEN", "of the caller")
    description = process(
        "import json, os; json.dump(dict(os.environ), open('environment.json', 'w'))",
        environment={"COLOUR": "blue"},
        secrets=(SecretVariable(name="HF_TOKEN", secret="hub"), SecretVariable(name="A", secret="b", optional=True)),
    )
    monkeypatch.chdir(tmp_path)
    run_process(description, tmp_path, {"HF_TOKEN": "given"}, PATIENCE_SECONDS)
    found = json.loads((tmp_path / "environment.json").read_text())
    assert (found["COLOUR"], found["HF_TOKEN"], found["PATH"]) == ("blue", "given", os.environ["PATH"])
    assert not {"AWS_ACCESS_KEY_ID", "A"} & found.keys()


def test_missing_secret_starts_nothing(tmp_path: Path) -> None:
    """The error names the variable."""
    description = process("open('started', 'w')", secrets=(SecretVariable(name="HF_TOKEN", secret="hub"),))
    with pytest.raises(KeyError, match="HF_TOKEN"):
        start_process(description, tmp_path, {})


def test_deadline_ends_the_process(tmp_path: Path) -> None:
    """TimeoutError names role and log, and the process is gone."""
    pid_file = tmp_path / "pid"
    program = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(99)"
    with pytest.raises(TimeoutError, match="worker did not end within 1 s"):
        run_process(process(program), tmp_path, {}, 1.0)
    if pid_file.exists():
        assert not lives(int(pid_file.read_text()))


def test_end_reaches_the_whole_group(tmp_path: Path) -> None:
    """Children of a process are ended with it, also when it leaves at once and they do not."""
    pid_file = tmp_path / "pid"
    program = (
        f"import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], "
        f"stdout=subprocess.PIPE)\nchild.stdout.readline()\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\ntime.sleep(99)"
    )
    started = start_process(process(program), tmp_path, {})
    until(lambda: pid_file.exists() and pid_file.read_text() != "")
    child = int(pid_file.read_text())
    assert lives(child)
    started.end()
    until(lambda: not lives(child))
    assert not started.running


def test_what_a_killed_process_leaves_in_its_temporary_folder_goes_with_it(tmp_path: Path) -> None:
    """Sockets of a server that had no time to remove them, batches of a rank."""
    told = tmp_path / "told"
    program = (
        "import os, tempfile, time\n"
        f"open('{told}.new', 'w').write(tempfile.mkstemp()[1])\nos.rename('{told}.new', '{told}')\ntime.sleep(99)"
    )
    started = start_process(process(program), tmp_path / "logs", {})
    until(told.exists)
    left = Path(told.read_text())
    os.kill(started.process.pid, signal.SIGKILL)
    until(lambda: not started.running)
    assert left.exists()
    started.end()
    assert not left.parent.exists()


def test_stubborn_processes_are_ended_by_force(tmp_path: Path) -> None:
    """The grace is over for all of them at about the same time, not one after the other."""
    started = [start_process(process(STUBBORN, role=f"stubborn-{i}"), tmp_path, {}) for i in range(2)]
    until(lambda: all("up" in one.log.read_text() for one in started))
    end_all(started, grace_seconds=0.2)
    assert [one.process.returncode for one in started] == [-signal.SIGKILL, -signal.SIGKILL]


def test_processes_end_with_a_caller_that_was_killed(tmp_path: Path) -> None:
    """A caller that cannot clean up any more leaves nothing behind."""
    caller = (
        "import sys, time\nfrom pathlib import Path\nfrom deepcoder_api.processes import Process\n"
        "from deepcoder_cli.local.supervision import start_process\n"
        "command = (sys.executable, '-c', 'import time; time.sleep(99)')\n"
        "process = Process(role='worker', image='worker', command=command)\n"
        f"print(start_process(process, Path({str(tmp_path)!r}), {{}}).process.pid, flush=True)\ntime.sleep(99)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", caller], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert lives(worker)
        parent.kill()
    until(lambda: not lives(worker))
