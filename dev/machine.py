"""What a machine must have before anything is built or started on it, and Debian packages installed when missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

MEMORY_GIB = 12
DISK_GIB = {"toolchain": 30, "registry": 20, "": 10}
"""Free disk for what is left to do, by the first folder of the cache that is not there yet."""
GO_VERSION = (1, 24)

# Debian package -> a file that it brings.
CLUSTER_PACKAGES = {
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "/usr/sbin/iptables",
    "nftables": "/usr/sbin/nft",
    "conntrack": "/usr/sbin/conntrack",
    "ipset": "/usr/sbin/ipset",
    "ethtool": "/usr/sbin/ethtool",
    "socat": "/usr/bin/socat",
    "iproute2": "/usr/sbin/ip",
    "openssl": "/usr/bin/openssl",
    "util-linux": "/usr/bin/unshare",
}


class MissingError(Exception):
    """Something that the machine lacks; the message says what, with figures, and what to do."""


def cache_folder() -> Path:
    """The machine's cache, shared by all clones."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "deepcoder-operator"


def check_machine(*, needs_go: bool) -> None:
    """Raises MissingError with one clear sentence when the machine cannot carry the cluster."""
    if os.geteuid() != 0:
        raise MissingError(f"this needs root (namespaces, cgroups, mounts) and runs as uid {os.geteuid()}: use sudo -E")
    if not Path("/etc/debian_version").exists():
        raise MissingError("this needs Debian 12 or newer: /etc/debian_version is not there")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < MEMORY_GIB:
        raise MissingError(f"this needs {MEMORY_GIB} GiB of memory and the machine has {memory:.1f} GiB")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free / 2**30
    needed = next(gib for folder, gib in DISK_GIB.items() if not folder or not (cache / folder).exists())
    if free < needed:
        raise MissingError(f"this needs {needed} GiB of free disk under {cache} and there are {free:.1f} GiB")
    if needs_go:
        check_go()


def check_go() -> None:
    """Raises MissingError unless a new enough Go is there."""
    go = shutil.which("go")
    if go is None:
        raise MissingError(f"this needs Go {GO_VERSION[0]}.{GO_VERSION[1]} or newer and there is none in PATH")
    text = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60).stdout
    found = tuple(int(part) for part in text.strip().removeprefix("go").split(".")[:2])
    if found < GO_VERSION:
        raise MissingError(f"this needs Go {GO_VERSION[0]}.{GO_VERSION[1]} or newer and {go} is {text.strip()}")


def install_packages(packages: dict[str, str]) -> None:
    """Install by apt the Debian packages whose file is missing. Raises MissingError when apt fails."""
    missing = [name for name, file in packages.items() if not Path(file).exists()]
    if not missing:
        return
    with timed(f"installing Debian packages: {' '.join(missing)}"):
        run(["apt-get", "update", "-qq"], seconds=300)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], seconds=900)


def run(command: Sequence[str], *, seconds: float, folder: Path | None = None, **environment: str) -> str:
    """Run to the end and return standard output. Raises MissingError with the output's end when it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"`{' '.join(command)}` did not end within {seconds:.0f} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise MissingError(f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{tail}")
    return done.stdout


class timed:  # noqa: N801 - reads as a phrase: with timed("...")
    """A progress line for a long piece: what it is at the start, and the seconds at the end."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._started = time.monotonic()
        print(f"==> {self._what} ...", flush=True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        word = "done" if kind is None else "FAILED"
        print(f"    {word} in {time.monotonic() - self._started:.1f} s", flush=True)


def main() -> None:
    """Whether this machine can carry all that `make test` and `make demo` do."""
    check_machine(needs_go=True)


def entry_point(main: Callable[[], None]) -> None:
    """Run a command line's main; what the machine lacks ends it with one sentence and exit code 1."""
    try:
        main()
    except MissingError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    entry_point(main)
