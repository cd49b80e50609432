"""runsc containers that run a script of this folder, made as the grading server's own is: same root, mounts, user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepcoder_sandbox.gvisor_bundle import SOCKET_FOLDER, write_bundle

HERE = Path(__file__).resolve().parent
SCRIPTS = ("in_process.py", "fresh_process.py")
STOP_SECONDS = 20.0


class ContainerError(Exception):
    """A container did not do its work. The message ends with what it said."""


class Containers:
    """A bundle whose containers run one script. They share its root, which is read-only; each has a name of its own."""

    def __init__(self, runsc: Path, folder: Path, script: str, arguments: Sequence[str] = ()) -> None:
        self._folder = folder
        self._common = [str(runsc), f"--root={folder}/state", "--network=none", "--ignore-cgroups"]
        shared = folder / "shared"
        shared.mkdir()
        for name in SCRIPTS:
            shutil.copy(HERE / name, shared / name)
        write_bundle(folder / "bundle", shared, ())
        config = folder / "bundle" / "config.json"
        described = json.loads(config.read_text())
        described["process"]["args"] = [sys.executable, f"{SOCKET_FOLDER}/{script}", *arguments]
        config.write_text(json.dumps(described))

    def run_command(self, name: str) -> list[str]:
        """The command that is a container's whole life but for its deletion."""
        return [*self._common, "run", f"--bundle={self._folder}/bundle", name]

    def run(self, name: str, text: str, seconds: float) -> str:
        """What the script prints, given `text`: create, start, wait, delete. Raises ContainerError."""
        try:
            done = subprocess.run(
                self.run_command(name), input=text, capture_output=True, text=True, timeout=seconds, check=False
            )
        finally:
            self.delete(name)
        if done.returncode:
            raise ContainerError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def delete(self, name: str) -> None:
        """Remove what is left of a container, running or not."""
        command = [*self._common, "delete", "--force", name]
        subprocess.run(command, capture_output=True, check=False, timeout=STOP_SECONDS)


@contextlib.contextmanager
def containers(runsc: Path, script: str, arguments: Sequence[str] = ()) -> Iterator[Containers]:
    """Containers in a folder of their own, of which nothing is left."""
    folder = Path(tempfile.mkdtemp(prefix="deepcoder-bench-"))
    folder.chmod(0o755)
    try:
        yield Containers(runsc, folder, script, arguments)
    finally:
        namespace = folder / "state" / "null-netns"
        while os.path.ismount(namespace):  # by each of the first containers, where they were started at once
            subprocess.run(["umount", "--lazy", str(namespace)], check=True, capture_output=True, timeout=STOP_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
