"""CPU time and memory of a process and all its descendants, read from /proc. A runsc container is such a tree."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from deepcoder_sandbox.tree_usage import descendants

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
SENTRY_MEMORY = "memfd:runsc-memory"


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, with that of descendants that have ended and been waited for."""
    ticks = 0
    for pid in (root, *descendants(root)):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, _fields(pid)[11:15]))
    return ticks / TICKS_PER_SECOND


def memory_mib(root: int) -> float:
    """What the tree takes from the machine: each page once, shared ones in proportion.

    The memory of all that runs inside gVisor is one file in memory, which is counted whole, mapped or not.
    """
    total, seen = 0.0, set()
    for pid in (root, *descendants(root)):
        with contextlib.suppress(OSError):
            total += private_mib(Path(f"/proc/{pid}/smaps_rollup").read_text())
            for inode, size in _sentry_memory(pid):
                total += 0.0 if inode in seen else size
                seen.add(inode)
    return total


def private_mib(smaps_rollup: str) -> float:
    """Anonymous and file pages of a process, in proportion where shared. Pages of memory files are left out."""
    kib = 0
    for line in smaps_rollup.splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss_Anon", "Pss_File"):
            kib += int(rest.split()[0])
    return kib / 1024


def _sentry_memory(pid: int) -> list[tuple[int, float]]:
    """The memory files of gVisor that a process has open: inode and MiB that are taken."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if SENTRY_MEMORY in os.readlink(descriptor):
                status = os.stat(descriptor)
                found.append((status.st_ino, status.st_blocks * 512 / MIB))
    return found


def _fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat after the command's name."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
