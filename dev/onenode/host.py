"""The host's side of a cluster: the first process in new namespaces, the link to it, and the end of both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from machine import MissingError, run

from onenode.cgroups import cgroup_version, make_cgroup, remove_cgroup
from onenode.components import configuration_files
from onenode.layout import Layout

FIRST_SECONDS = 15.0
END_SECONDS = 30.0


def is_running(layout: Layout) -> bool:
    """Whether the first process of the clone's cluster lives."""
    return first_pid(layout) is not None


def first_pid(layout: Layout) -> int | None:
    """The pid, on the host, of the cluster's first process; None when it does not live."""
    try:
        pid = int(layout.first_process.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if b"onenode.inside" in command else None


def start(layout: Layout) -> None:
    """Start the first process and link its network to the host. Raises MissingError."""
    (layout.state / "log").mkdir(parents=True, exist_ok=True)
    for name, text in configuration_files(layout, cgroup_version=cgroup_version()).items():
        file = layout.state / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    Path(layout.cache, "registry").mkdir(parents=True, exist_ok=True)
    make_cgroup(layout.cgroup)
    pid = _start_first(layout)
    layout.first_process.write_text(str(pid))
    _link(layout, pid)


def stop(layout: Layout) -> None:
    """End every process of the cluster and remove what it left: link, cgroup, files. Idempotent."""
    pid = first_pid(layout)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        _wait_gone(pid, END_SECONDS)
    if Path(f"/sys/class/net/{layout.device}").exists():
        run(["ip", "link", "delete", layout.device], seconds=30)
    remove_cgroup(layout.cgroup)
    shutil.rmtree(layout.state, ignore_errors=False) if layout.state.exists() else None


def _start_first(layout: Layout) -> int:
    unshare = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    with (layout.state / "log" / "first.log").open("ab") as log:
        parent = subprocess.Popen(
            [*unshare, sys.executable, "-m", "onenode.inside", layout.to_json()],
            cwd=Path(layout.clone) / "dev",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + FIRST_SECONDS
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while time.monotonic() < deadline:
        if parent.poll() is not None:
            break
        words = children.read_text().split()
        if words and first_namespaced(int(words[0])):
            return int(words[0])
        time.sleep(0.05)
    tail = (layout.state / "log" / "first.log").read_text()[-2000:]
    raise MissingError(f"the cluster's first process did not start (are network namespaces allowed here?):\n{tail}")


def first_namespaced(pid: int) -> bool:
    """Whether the process runs our program already, in a network namespace of its own."""
    try:
        own = os.readlink("/proc/self/ns/net")
        return (
            os.readlink(f"/proc/{pid}/ns/net") != own and b"onenode.inside" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def _link(layout: Layout, pid: int) -> None:
    peer = ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run(["ip", "link", "add", layout.device, *peer], seconds=30)
    run(["ip", "addr", "add", f"{layout.host_address}/24", "dev", layout.device], seconds=30)
    run(["ip", "link", "set", layout.device, "up"], seconds=30)


def _wait_gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline - seconds / 2:
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} did not end within {seconds:.0f} s")
        time.sleep(0.05)
