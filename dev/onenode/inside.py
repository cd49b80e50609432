"""The first process in the cluster's namespaces: mounts, addresses, then the components, started again when they end.

Run by `host.start` as `python3 -m onenode.inside LAYOUT-JSON`. Killing it ends every process of the cluster.
"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from onenode.cgroups import cgroup_version
from onenode.components import Component, control_plane, node, policy_enforcer
from onenode.layout import NODE, Layout

LINK_SECONDS = 30.0
RESTART_SECONDS = 1.0
API_SECONDS = 2.0
OWN_FOLDERS = ("/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")
"""Where components write whatever their settings say. Addresses of pods that ended with their cluster would stay taken
in the machine's, until no pod on it gets one."""


def main() -> None:
    """Set the namespaces up and watch over the components until told to end."""
    layout = Layout.from_json(sys.argv[1])
    mount_all(layout)
    connect(layout)
    supervise(layout, components(layout), api_is_ready)


def components(layout: Layout) -> list[Component]:
    """What runs, in order."""
    found = [*control_plane(layout), *node(layout)]
    if Path(layout.clone, "dev", "netpolicy", "enforcer.py").exists():
        found.append(policy_enforcer(layout))
    return found


def mount_all(layout: Layout) -> None:
    """The namespaces' own /proc, /sys, /run, OWN_FOLDERS and host name; the machine's cgroups stay in sight."""
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "proc", "proc", "/proc")
    cgroups = layout.state / "cgroups"
    cgroups.mkdir(exist_ok=True)
    _run("mount", "--rbind", "/sys/fs/cgroup", str(cgroups))
    _run("mount", "-t", "sysfs", "sysfs", "/sys")  # a new sysfs, for the new network namespace, hides the cgroup mounts
    _run("mount", "--rbind", str(cgroups), "/sys/fs/cgroup")
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder in OWN_FOLDERS:
        own = own_folder(layout, folder)
        own.mkdir(parents=True, exist_ok=True)
        Path(folder).mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(own), folder)
    temporary_folder(layout).mkdir(exist_ok=True)
    hosts = layout.state / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NODE}\n")
    _run("mount", "--bind", str(hosts), "/etc/hosts")
    _run("hostname", NODE)
    mounted_version = cgroup_version()
    print(f"cgroup v{mounted_version}", flush=True)


def own_folder(layout: Layout, folder: str) -> Path:
    """Where, on the host, lies what the cluster sees as `folder`."""
    return layout.state / "own" / folder.removeprefix("/")


def temporary_folder(layout: Layout) -> Path:
    """The components' folder for temporary files."""
    return layout.state / "tmp"


def connect(layout: Layout) -> None:
    """Bring up the link to the host, which the host makes meanwhile."""
    _run("ip", "link", "set", "lo", "up")
    deadline = time.monotonic() + LINK_SECONDS
    while subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the host did not give eth0 within {LINK_SECONDS:.0f} s")
        time.sleep(0.05)
    _run("ip", "addr", "add", f"{layout.address}/24", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    _run("ip", "route", "add", "default", "via", layout.host_address)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    bridge = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if bridge.exists():  # without it traffic from pod to pod passes neither Services nor policies
        bridge.write_text("1")


def api_is_ready(layout: Layout) -> bool:
    """Whether the API server says so to a stranger, whom the roles that it makes at its start allow to ask."""
    trust = ssl.create_default_context(cafile=str(layout.state / "pki" / "ca.crt"))
    try:
        with urllib.request.urlopen("https://127.0.0.1:6443/readyz", timeout=API_SECONDS, context=trust) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def supervise(layout: Layout, wanted: list[Component], api_is_ready: Callable[[Layout], bool]) -> None:
    """Start each component when it can be; start again what ends; reap orphans; end everything on SIGTERM."""
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    running = {_start(layout, component): component for component in wanted if not component.needs_api}
    waiting = [component for component in wanted if component.needs_api]
    while not stopping:
        if waiting and api_is_ready(layout):
            running |= {_start(layout, component): component for component in waiting}
            waiting = []
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            ended, status = 0, 0
        if ended == 0:
            time.sleep(0.2)
            continue
        component = running.pop(ended, None)
        if component is not None:
            print(f"{component.name} ended with status {status}; starting it again", flush=True)
            time.sleep(RESTART_SECONDS)
            running[_start(layout, component)] = component
    # The end of this process, the first of its pid namespace, kills all others.


def _start(layout: Layout, component: Component) -> int:
    path = f"{layout.binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with (layout.state / "log" / f"{component.name}.log").open("ab") as log:
        process = subprocess.Popen(
            component.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=layout.state,
            env={"PATH": path, "HOME": "/root", "TMPDIR": str(temporary_folder(layout))},
            start_new_session=True,
        )
    return process.pid


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)


if __name__ == "__main__":
    main()
