"""Process trees: what a run's uses now, read through the run's own /proc, and who belongs to one.

Sampled, so a bound may be passed briefly.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass

_PAGE_BYTES = resource.getpagesize()
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class TreeUsage:
    """Of all processes of a run together, and the CPU seconds of each that is there, by pid."""

    processes: int
    threads: int
    resident_bytes: int
    cpu_seconds: Mapping[str, float]


def tree_usage(proc: int) -> TreeUsage:
    """The use of all processes in the directory descriptor `proc`. Raises OSError when that /proc is gone."""
    processes = threads = resident = 0
    cpu: dict[str, float] = {}
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            resident += int(_read(proc, f"{name}/statm").split()[1]) * _PAGE_BYTES
            # stat: of the fields after the command's closing parenthesis the 12th and 13th are its own time in user
            # mode and in the kernel, in ticks; the 18th counts threads.
            fields = _read(proc, f"{name}/stat").rpartition(b")")[2].split()
            threads += max(1, int(fields[17]))
            cpu[name] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
            processes += 1
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return TreeUsage(processes, threads, resident, cpu)


def count_children(parent: int) -> int:
    """How many processes have the parent `parent`, zombies included."""
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sum(_parent(proc, name) == parent for name in os.listdir(proc) if name.isdigit())
    finally:
        os.close(proc)


def descendants(ancestor: int) -> list[int]:
    """The ids of the processes below `ancestor`, parents before children."""
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        parents = {int(name): _parent(proc, name) for name in os.listdir(proc) if name.isdigit()}
    finally:
        os.close(proc)
    found = [ancestor]
    for above in found:  # it grows while we go
        found += [pid for pid, parent in parents.items() if parent == above]
    return found[1:]


def _parent(proc: int, name: str) -> int | None:
    try:
        return int(_read(proc, f"{name}/stat").rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(proc: int, path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=proc)
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)
