"""A small file system in memory that can be filled to its last byte and freed again. Needs root."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

MOUNT_SECONDS = 30
CHUNK = b"\0" * (1 << 16)
MIB = 1024 * 1024


class ScarceDisk:
    """A tmpfs at `folder`. A context manager: it is unmounted, with all that lies there, when it is left."""

    def __init__(self, folder: Path, *, mib: int) -> None:
        self.folder = folder
        self._mib = mib
        self._ballast = folder / "ballast"

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it. Raises CalledProcessError where that is not allowed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _call("mount", "-t", "tmpfs", "-o", f"size={self._mib}m,mode=0755", "tmpfs", str(self.folder))
        try:
            yield
        finally:
            _call("umount", "--lazy", str(self.folder))

    def fill(self) -> int:
        """Take all that is left; returns the MiB taken."""
        taken = 0
        with self._ballast.open("ab", buffering=0) as ballast:
            chunk = CHUNK
            while chunk:
                try:
                    taken += ballast.write(chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    chunk = chunk[: len(chunk) // 2]  # to the last byte
        return taken // MIB

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)


def _call(*command: str) -> None:
    subprocess.run(command, check=True, timeout=MOUNT_SECONDS, capture_output=True)
