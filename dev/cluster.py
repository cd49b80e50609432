"""`python3 dev/cluster.py up | down | status | shell`: the one-node Kubernetes of this clone."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import toolchain
from machine import CLUSTER_PACKAGES, MissingError, check_machine, entry_point, install_packages, run, timed
from onenode import host, layout
from onenode.archives import write_program_archive
from onenode.certificates import make_certificates
from onenode.components import PAUSE_IMAGE
from onenode.diagnosis import diagnosis
from onenode.layout import Layout
from onenode.objects import DNS_IMAGE, first_objects

READY_SECONDS = 180.0


def up() -> Layout:
    """Bring the cluster up, or what is missing of it. Raises MissingError."""
    check_machine(needs_go=False)
    install_packages(CLUSTER_PACKAGES)
    toolchain.link_all(layout.ROOT / "build" / "bin")
    cluster = layout.claim(layout.ROOT, set(os.listdir("/sys/class/net")))
    if host.is_running(cluster) and _ready(cluster):
        print(f"    the cluster is up (kubeconfig: {cluster.kubeconfig})")
        return cluster
    with timed("starting the one-node Kubernetes (about 30 s)"):
        if not host.is_running(cluster):
            host.stop(cluster)  # what a cluster that was killed has left
            cluster.state.mkdir(parents=True)
            make_certificates(cluster)
            host.start(cluster)
        _wait(cluster, "the API server", lambda: _succeeds(cluster, "get", "--raw", "/readyz"))
        _import_images(cluster)
        _apply_first_objects(cluster)
        _wait(cluster, "node and DNS", lambda: _ready(cluster))
    return cluster


def down() -> None:
    """Take the cluster down; nothing of it stays."""
    cluster = layout.existing(layout.ROOT)
    if cluster is None:
        print("    there is no cluster of this clone")
        return
    with timed("taking the cluster down"):
        host.stop(cluster)
        layout.release(cluster)


def status() -> bool:
    """Say whether the cluster is up; returns it."""
    cluster = layout.existing(layout.ROOT)
    if cluster is None or not host.is_running(cluster):
        print("the cluster of this clone is down (make cluster)")
        return False
    ready = _ready(cluster)
    print(f"the cluster is {'ready' if ready else 'not ready'} at {cluster.address}")
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return ready


def shell(command: list[str]) -> int:
    """Run a command inside the cluster's namespaces; returns its exit code."""
    cluster = layout.existing(layout.ROOT)
    pid = host.first_pid(cluster) if cluster else None
    if pid is None:
        raise MissingError("the cluster of this clone is down: bring it up with `make cluster`")
    enter = ["nsenter", "--target", str(pid), "--net", "--mount", "--pid", "--ipc", "--uts"]
    return subprocess.run([*enter, *(command or ["bash"])], check=False).returncode


def kubectl(cluster: Layout, *arguments: str, seconds: float = 60) -> str:
    """What kubectl prints. Raises MissingError."""
    program = str(cluster.binaries / "kubectl")
    return run([program, "--kubeconfig", str(cluster.kubeconfig), *arguments], seconds=seconds)


def _import_images(cluster: Layout) -> None:
    pid = host.first_pid(cluster)
    for program, image in (("pause", PAUSE_IMAGE), ("coredns", DNS_IMAGE)):
        archive = cluster.state / f"{program}.tar"
        write_program_archive(cluster.binaries / program, image, archive)
        ctr = [str(cluster.binaries / "ctr"), "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io"]
        enter = ["nsenter", "--target", str(pid), "--net", "--mount", "--pid"]
        command = [*enter, *ctr, "images", "import", str(archive)]
        _wait(cluster, f"containerd to take {image}", lambda command=command: _runs(command))
        archive.unlink()


def _apply_first_objects(cluster: Layout) -> None:
    file = cluster.state / "first-objects.json"
    file.write_text(json.dumps(first_objects()))
    _wait(cluster, "the first objects", lambda: _succeeds(cluster, "apply", "-f", str(file)))


def _ready(cluster: Layout) -> bool:
    node = '{.items[0].status.conditions[?(@.type=="Ready")].status}'
    try:
        if kubectl(cluster, "get", "nodes", "-o", f"jsonpath={node}") != "True":
            return False
        query = ("-n", "kube-system", "get", "deployment", "coredns", "-o", "jsonpath={.status.readyReplicas}")
        return kubectl(cluster, *query) == "1"
    except MissingError:
        return False


def _succeeds(cluster: Layout, *arguments: str) -> bool:
    try:
        kubectl(cluster, *arguments)
    except MissingError:
        return False
    return True


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def _wait(cluster: Layout, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if not host.is_running(cluster):
            print(diagnosis(cluster), flush=True)
            raise MissingError(f"the cluster ended while waiting for {what}; its logs: {cluster.state / 'log'}")
        if time.monotonic() > deadline:
            print(diagnosis(cluster), flush=True)  # `make down` takes the logs with it
            raise MissingError(f"{what}: not there after {READY_SECONDS:.0f} s; logs: {cluster.state / 'log'}")
        time.sleep(0.5)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev/cluster.py", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "shell"])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="for shell: the command, after --")
    arguments = parser.parse_args()
    if arguments.command == "up":
        print(f"    export KUBECONFIG={up().kubeconfig}")
    elif arguments.command == "down":
        down()
    elif arguments.command == "status":
        sys.exit(0 if status() else 1)
    else:
        sys.exit(shell([word for word in arguments.rest if word != "--"]))


if __name__ == "__main__":
    entry_point(main)
