"""What all measured runs share: a folder, an S3 server, a grading server, the base models. Ended with the context."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.trainer.cores import pinned
from benchmarks.trainer.runs import QUICKSTART
from deepcoder_sandbox.local import find_runsc, start_local_sandbox
from tests.s3_server import S3Server, running_s3_server

BASE_MODEL_SECONDS = 3600.0
BUCKET = "bench"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where things are. `kept` outlives a call (base models); `folder` is this call's alone."""

    kept: Path
    folder: Path
    s3: S3Server
    say: Say

    @property
    def storage(self) -> str:
        """Where runs store what lasts: prepared datasets are shared by all that train on the same problems."""
        return f"s3://{BUCKET}/runs"

    def base(self, seed: int) -> Path:
        """The folder of the quickstart's base model of this seed and its problems; made when it is not there."""
        return made(
            self.kept / f"base-{seed}",
            [sys.executable, str(QUICKSTART / "make_base_model.py"), "--seed", str(seed), "--to"],
            self.say,
        )

    def long_tailed(self, seed: int) -> Path:
        """The same, with a model whose answers are long now and then (long_tail.py)."""
        base = self.base(seed)
        command = [sys.executable, "-m", "benchmarks.trainer.long_tail", "--base", str(base), "--seed", str(seed)]
        return made(self.kept / f"long-answers-{seed}", [*command, "--to"], self.say)


@contextmanager
def prepared_place(kept: Path, folder: Path, say: Say) -> Iterator[Place]:
    """An S3 server with an empty bucket."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_s3_server() as s3:
        s3.make_bucket(BUCKET)
        yield Place(kept, folder, s3, say)


@contextmanager
def grading(core: int | None, say: Say) -> Iterator[str]:
    """A grading server, on `core` with one worker or on all with one each; its URL."""
    if find_runsc() is None:
        say("no gVisor (python3 dev/toolchain.py builds it): programs are graded natively, in namespaces only")
    with pinned(core):
        sandbox = start_local_sandbox(workers=None if core is None else 1)
    with sandbox:
        yield sandbox.url


def made(folder: Path, command: list[str], say: Say) -> Path:
    """`folder`, which `command` makes when its last argument is a folder. A second call finds it made.

    Raises CalledProcessError or TimeoutExpired.
    """
    if folder.exists():
        return folder
    say(f"making {folder.name} (some minutes)")
    unfinished = folder.with_name(f"{folder.name}.unfinished-{os.getpid()}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, str(unfinished)], env=environment, check=True, timeout=BASE_MODEL_SECONDS, cwd=ROOT)
    return unfinished.rename(folder)
