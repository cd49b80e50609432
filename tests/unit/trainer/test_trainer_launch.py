"""How a trainer pod's end is told."""

from __future__ import annotations

import argparse
import asyncio
import io
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_trainer.launch import (
    _start,
    ending,
    keep_serving,
    rank_exit,
    ranks_command,
    remove_weights_of_earlier_attempts,
    weight_server_command,
    weights_folder,
)
from tests.resolved_runs import resolved_run

REPORT = """
E1124 17:00:00.000000 1 api.py:900] failed (exitcode: -9) local_rank: 1 (pid: 77) of binary: python
============================================================
deepcoder_trainer.ranks FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-24_17:00:00
  host      : trainer-0
  rank      : 5 (local_rank: 1)
  exitcode  : -9 (pid: 77)
  error_file: <N/A>
============================================================
"""


def arguments(**changes: Any) -> argparse.Namespace:
    """What a trainer pod is started with."""
    given = {
        "port": 8700, "replica_index": 0, "master_address": "t-0.t", "master_port": 29501, "attempt": 3,
        "host": "10.0.0.9", "weights_port": 8701, "bind": "0.0.0.0",
    }  # fmt: skip
    return argparse.Namespace(**{**given, **changes})


LEFT = TerminationMessage(outcome="permanent", reason="TakenOver", cause="a newer attempt took over")


@pytest.mark.parametrize(
    ("code", "message", "tail", "outcome", "cause"),
    [
        (0, None, "", "done", ""),
        (64, LEFT, REPORT, "permanent", "a newer attempt took over"),
        (75, None, "", "retryable", "left no message"),
        (64, None, "", "permanent", "left no message"),
        (-9, None, "", "retryable", "exit code -9"),
        (1, None, REPORT, "retryable", "rank 5 ended with exit code -9 (killed: out of memory?)"),
    ],
)
def test_the_end_is_what_was_left_else_what_the_exit_code_says(
    code: int, message: TerminationMessage | None, tail: str, outcome: str, cause: str
) -> None:
    """A message that was left counts; without one only exit code 64 is permanent, and a kill may heal."""
    told = ending(code, message, tail, "the orchestrator")
    assert told.outcome == outcome
    assert cause in told.cause


def test_torchruns_report_names_the_rank_that_failed_first() -> None:
    """The root cause, not the first line that has an exit code in it; nothing when there is no report."""
    assert rank_exit(REPORT).startswith("rank 5 ended with exit code -9")
    assert rank_exit("Traceback (most recent call last):") == ""


@pytest.mark.parametrize(
    ("trainer", "index", "expected"),
    [
        ({"replicas": 1, "gpusPerReplica": 0}, 0, ["--standalone", "--nproc-per-node", "1", "http://127.0.0.1:8700"]),
        ({"replicas": 1, "gpusPerReplica": 8}, 0, ["--standalone", "--nproc-per-node", "8"]),
        (
            {"replicas": 4, "gpusPerReplica": 2},
            2,
            [
                "--nnodes",
                "4",
                "--node-rank",
                "2",
                "--master-addr",
                "t-0.t",
                "--master-port",
                "29501",
                "--nproc-per-node",
                "2",
                "http://t-0.t:8700",
            ],
        ),
    ],
)
def test_torchrun_is_started_with_one_rank_a_gpu(trainer: dict[str, int], index: int, expected: list[str]) -> None:
    """One rank on CPU; several pods meet at pod 0 and find the orchestrator there."""
    command = ranks_command(resolved_run(trainer=trainer), arguments(replica_index=index), Path("/shm/weights"))
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert all(part in command for part in expected)
    assert command[-6:] == [
        *("--attempt", "3", "--weights-dir", "/shm/weights", "--weights-url", "http://10.0.0.9:8701")
    ]


def test_a_pods_weights_are_served_at_the_address_that_its_ranks_tell(tmp_path: Path) -> None:
    """The same folder, port and attempt, on the address that the pod listens on."""
    command = weight_server_command(arguments(), tmp_path)
    assert command[1:] == [
        *("-m", "deepcoder_trainer.weight_server", "--attempt", "3", "--weights-dir", str(tmp_path)),
        *("--bind", "0.0.0.0", "--port", "8701"),
    ]


async def test_a_server_of_weights_that_ends_is_started_again_until_the_pod_ends(tmp_path: Path) -> None:
    """It holds nothing but files; whatever killed it, rollouts find it at the same address."""
    runs = tmp_path / "runs"
    command = [sys.executable, "-c", f"open({str(runs)!r}, 'a').write('x')"]
    keeping = asyncio.create_task(keep_serving(command))
    async with asyncio.timeout(60):
        while not runs.exists() or len(runs.read_text()) < 2:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
    assert not keeping.done()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


def test_weights_lie_in_shared_memory_where_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions of the pod's share twice over; else in the work folder."""
    run = resolved_run(trainer={"replicas": 2, "gpusPerReplica": 1})
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    given = arguments(model_dir=tmp_path, work_dir=tmp_path / "work", replica_index=1)
    shared = f"/dev/shm/deepcoder-weights-{run.uid[:8]}-3-1"
    for free, folder in ((2001, shared), (1999, str(tmp_path / "work/weights-1"))):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: argparse.Namespace(free=free))
        assert str(weights_folder(run, given)) == folder


def test_what_a_killed_attempt_left_in_shared_memory_is_freed(tmp_path: Path) -> None:
    """Of this run's earlier attempts alone: others share the machine, and a pod of this attempt may be ahead."""
    run = resolved_run()
    ours = f"deepcoder-weights-{run.uid[:8]}-"
    for name in (f"{ours}2-0", f"{ours}2-1", f"{ours}3-1", f"{ours}10-0", f"{ours}x", "deepcoder-weights-0ther000-1-0"):
        (tmp_path / name / "version-000001").mkdir(parents=True)
    remove_weights_of_earlier_attempts(run, 3, tmp_path)
    left = {folder.name for folder in tmp_path.iterdir()}
    assert left == {f"{ours}3-1", f"{ours}10-0", f"{ours}x", "deepcoder-weights-0ther000-1-0"}


async def test_a_childs_pipe_is_read_though_our_own_output_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a full disk: a child that writes more than a pipe holds must not wait for ever."""
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        monkeypatch.setattr(sys, "stderr", full)
        program = "import sys; [print('x' * 1000, number, file=sys.stderr) for number in range(1000)]"
        child = await _start("chatty", [sys.executable, "-c", program], {}, signal.SIGKILL)
        async with asyncio.timeout(60):
            assert await child.end(50.0) == 0
        assert child.tail[-1].endswith(" 999")
        monkeypatch.undo()


async def test_a_line_that_comes_in_pieces_is_one_line_of_the_tail() -> None:
    """A rank's last words are searched line by line; where a read ended must not show."""
    pieces = ["first\nRoot Cause: ra", "nk 1, exit", "code -9\n", "no end"]
    program = f"""import os, time
for piece in {pieces!r}:
    os.write(2, piece.encode())
    time.sleep(0.1)"""
    child = await _start("halting", [sys.executable, "-c", program], {}, signal.SIGKILL)
    async with asyncio.timeout(60):
        assert await child.end(50.0) == 0
    assert list(child.tail) == ["first", "Root Cause: rank 1, exitcode -9", "no end"]
