"""How a trainer pod's end is told."""

from __future__ import annotations

import argparse
import sys

import pytest

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_trainer.launch import ending, rank_exit, ranks_command
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
                "--nproc-per-node",
                "2",
                "http://t-0.t:8700",
            ],
        ),
    ],
)
def test_torchrun_is_started_with_one_rank_a_gpu(trainer: dict[str, int], index: int, expected: list[str]) -> None:
    """One rank on CPU; several pods meet at pod 0 and find the orchestrator there."""
    arguments = argparse.Namespace(port=8700, replica_index=index, master_address="t-0.t", attempt=3)
    command = ranks_command(resolved_run(trainer=trainer), arguments)
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    assert all(part in command for part in expected)
    assert command[-2:] == ["--attempt", "3"]
