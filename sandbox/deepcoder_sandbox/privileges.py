"""How a zygote that was started by root becomes an ordinary user, whose programs still reach the interpreter.

In a pod the server is an ordinary user already and nothing here is used. Root on a laptop or in CI often has its
Python under a folder that only root may enter; the zygote's own mount namespace then shows an empty folder in its
place, with nothing but the interpreter inside.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import defaultdict

from deepcoder_sandbox import namespaces

PROGRAM_USER = 10001


def become_ordinary(package_folder: str) -> None:
    """Give up root for good, when we are root. Raises OSError."""
    if os.geteuid() != 0:
        return
    _open_the_way(sorted({sys.prefix, sys.base_prefix, package_folder}))
    os.setgroups([])
    os.setresgid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    os.setresuid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    # Else the kernel keeps /proc/self for root, and children could not map themselves into their namespaces.
    namespaces.prctl(namespaces.PR_SET_DUMPABLE, 1)


def _open_the_way(folders: list[str]) -> None:
    blocked = [(folder, barrier) for folder in map(os.path.realpath, folders) if (barrier := _barrier(folder))]
    if not blocked:
        return
    namespaces.unshare(namespaces.NAMESPACES["mount"])
    namespaces.mount("none", "/", "none", namespaces.MS_REC | namespaces.MS_PRIVATE)
    closed: dict[str, dict[str, int]] = defaultdict(dict)
    for folder, barrier in blocked:
        closed[barrier][folder] = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    for barrier, kept in closed.items():
        namespaces.mount("tmpfs", barrier, "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, "mode=755,size=64k")
        for folder, descriptor in kept.items():
            os.makedirs(folder, 0o755, exist_ok=True)
            namespaces.mount(f"/proc/self/fd/{descriptor}", folder, "none", namespaces.MS_BIND | namespaces.MS_REC)
            os.close(descriptor)


def _barrier(folder: str) -> str | None:
    """The topmost folder on the way to `folder` that others may not enter."""
    path = ""
    for part in folder.strip("/").split("/"):
        path += f"/{part}"
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return path
    return None
