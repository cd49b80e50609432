"""The cgroup that a cluster's pods are under, on machines with cgroup v1 and with v2."""

from __future__ import annotations

import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
V2_CONTROLLERS = "+cpuset +cpu +io +memory +pids"
EMPTY_SECONDS = 20.0


def cgroup_version() -> int:
    """1 or 2: what is mounted at /sys/fs/cgroup."""
    return 2 if (ROOT / "cgroup.controllers").exists() else 1


def make_cgroup(name: str) -> None:
    """Make the cgroup `name` at the top of every hierarchy; the kubelet wants it to be there before it starts."""
    if cgroup_version() == 2:
        (ROOT / "cgroup.subtree_control").write_text(V2_CONTROLLERS)
        (ROOT / name).mkdir(exist_ok=True)
        (ROOT / name / "cgroup.subtree_control").write_text(V2_CONTROLLERS)
        return
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
    for file in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset has none, and nothing may run in it
        (ROOT / "cpuset" / name / file).write_text((ROOT / "cpuset" / file).read_text())


def remove_cgroup(name: str) -> None:
    """Remove the cgroup and all below it; its processes have ended. Raises TimeoutError when it stays in use."""
    deadline = time.monotonic() + EMPTY_SECONDS
    # The container runtime leaves folders in `unified` too, though nothing of ours made them.
    for hierarchy in [ROOT] if cgroup_version() == 2 else [*_hierarchies(), ROOT / "unified"]:
        top = hierarchy / name
        while top.exists():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                _try_remove(folder)
            _try_remove(top)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the cgroup {top} still has processes after {EMPTY_SECONDS:.0f} s")


def _try_remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError:  # still busy: the kernel frees an ended process's cgroup a moment later
        time.sleep(0.05)


def _hierarchies() -> list[Path]:
    # `unified` is the v2 hierarchy that systemd mounts beside v1; the kubelet does not use it.
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink() and path.name != "unified"]
