"""A log line that cannot be written is lost, and nothing else with it."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from deepcoder_api.log_stream import LossyStream

FULL = Path("/dev/full")  # every write to it fails as on a full disk
LOGGING = """
from deepcoder_data.termination import configure_logging
import structlog, sys
configure_logging()
for number in range(3):
    structlog.get_logger("test").info("a line", number=number)
print("went on")
"""


def test_what_is_written_arrives(capsys: pytest.CaptureFixture[str]) -> None:
    """On whatever is standard error then."""
    print("a line", file=LossyStream(), flush=True)
    assert capsys.readouterr().err == "a line\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_loses_the_line_alone() -> None:
    """A plain stream raises where this one goes on."""
    with io.TextIOWrapper(io.FileIO(FULL, "w"), write_through=True) as full:
        with pytest.raises(OSError, match="No space left"):
            print("a line", file=full, flush=True)
        print("a line", file=LossyStream(full), flush=True)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_process_whose_log_is_on_a_full_disk_goes_on() -> None:
    """As every process of a run logs."""
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-u", "-c", LOGGING],
            env={"PYTHONPATH": ":".join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "went on\n")
