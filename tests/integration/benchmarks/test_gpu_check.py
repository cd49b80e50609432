"""`python -m benchmarks.gpu_check` as a process: its logic on a tiny shape on CPU, and what it says without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]


def gpu_check(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "benchmarks.gpu_check", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False
    )  # fmt: skip


def test_a_tiny_shape_on_cpu_goes_through_every_check(tmp_path: Path) -> None:
    """Each check has run and passed; the report has the machine and what was not run."""
    file = tmp_path / "report.json"
    done = gpu_check("--device", "cpu", "--layers", "1", "--tokens", "256", "--repeats", "1", "--output", str(file))
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(file.read_text())
    assert set(report["checks"]) == {
        "attention-256", "packed-against-padded", "update-one-256", "update-packed-256",
    }  # fmt: skip
    assert all(check["passed"] for check in report["checks"].values())
    assert report["machine"]["device"] == "cpu"
    assert report["checks"]["update-one-256"]["utilisation"] is None  # no peak is known of a CPU
    assert report["checks"]["update-one-256"]["tokens_per_second"] > 0
    assert "needs two GPUs" in report["not_run"].values()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_ends_with_a_code_of_its_own(tmp_path: Path) -> None:
    """One sentence, no report, exit code 3."""
    done = gpu_check("--output", str(tmp_path / "report.json"))
    assert done.returncode == 3
    assert "there is no CUDA GPU here" in done.stderr
    assert not (tmp_path / "report.json").exists()
