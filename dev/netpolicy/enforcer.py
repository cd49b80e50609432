"""Keeps the nftables of a one-node cluster true to its NetworkPolicies, until it is killed.

    python3 dev/netpolicy/enforcer.py --kubeconfig FILE --kubectl PATH

Runs as root inside the cluster's network namespace. The rules stay when it ends; README.md says how to remove them.
"""

from __future__ import annotations

import argparse
import queue
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

if not __package__:  # run as a file: then this folder is on the path, where it must not be, and the package is not
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from dev.netpolicy.api_stream import NAMESPACES, PODS, POLICIES, ClusterView, StreamError, Streams
from dev.netpolicy.policy import decide
from dev.netpolicy.ruleset import render

SETTLE_SECONDS = 0.03  # several events often come together
RELOAD_SECONDS = 30.0  # repairs tables that someone else changed
RETRY_SECONDS = 1.0
NFT_DEADLINE_SECONDS = 10.0
BRIDGE_NETFILTER = Path("/proc/sys/net/bridge")


class NftError(Exception):
    """nft refused a ruleset; the old one is still in force. Another state of the cluster may help."""


class NodeError(Exception):
    """The machine lacks what filtering needs; a retry cannot help."""


def check_node() -> str:
    """Turn on bridge netfilter in this network namespace and return nft's path. Raises NodeError."""
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if nft is None:
        raise NodeError("nft is not there: apt-get install nftables")
    for switch in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
        file = BRIDGE_NETFILTER / switch
        if not file.exists():
            raise NodeError(f"{file} is not there, so pod to pod traffic would not be filtered: modprobe br_netfilter")
        if file.read_text().strip() != "1":
            file.write_text("1")
    return nft


def load(nft: str, text: str) -> None:
    """Load a ruleset in one transaction. Raises NftError with nft's words; then nothing has changed."""
    try:
        done = subprocess.run(
            [nft, "-f", "-"], input=text, capture_output=True, text=True, timeout=NFT_DEADLINE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NftError(f"nft did not end within {NFT_DEADLINE_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise NftError(done.stderr.strip())


class Enforcer:
    """The view of the cluster, and the ruleset that is in force."""

    def __init__(self, nft: str, streams: Streams, *, bridge: str, admit_unknown: bool) -> None:
        self._nft = nft
        self._streams = streams
        self._bridge = bridge
        self._admit_unknown = admit_unknown
        self._view = ClusterView()
        self._loaded = ""
        self._due = 0.0

    def run(self) -> NoReturn:
        """Load a new ruleset whenever the cluster's state asks for another one."""
        while True:
            self._streams.check()
            self._take_events()
            if self._view.complete:
                self._enforce()

    def _take_events(self) -> None:
        """Wait for an event or for the next reload, then take what comes within SETTLE_SECONDS."""
        patience = max(SETTLE_SECONDS, self._due - time.monotonic()) if self._view.complete else RELOAD_SECONDS
        try:
            self._view.apply(self._streams.events.get(timeout=patience))
            settled = time.monotonic() + SETTLE_SECONDS
            while (left := settled - time.monotonic()) > 0:
                self._view.apply(self._streams.events.get(timeout=left))
        except queue.Empty:
            return

    def _enforce(self) -> None:
        started = time.monotonic()
        try:
            decision = decide(self._view.of(PODS), self._view.of(NAMESPACES), self._view.of(POLICIES))
            text = render(decision, bridge=self._bridge, admit_unknown=self._admit_unknown)
            if text == self._loaded and started < self._due:
                return
            load(self._nft, text)
        except (NftError, ValueError) as error:
            print(f"netpolicy: the old rules stay: {error}", flush=True)
            self._due = started + RETRY_SECONDS
            return
        if text != self._loaded:
            isolated = ", ".join(f"{len(pods)} isolated for {name}" for name, pods in decision.isolated.items())
            milliseconds = (time.monotonic() - started) * 1000
            print(f"netpolicy: {len(decision.known)} pods, {isolated}; loaded in {milliseconds:.0f} ms", flush=True)
        self._loaded = text
        self._due = started + RELOAD_SECONDS


def main() -> None:
    """Parse the command line and enforce until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", required=True, help="may list and watch pods, namespaces and networkpolicies")
    parser.add_argument("--kubectl", required=True)
    parser.add_argument("--bridge", default="cni0", help="the bridge that the pods are on (default: %(default)s)")
    parser.add_argument(
        "--admit-unknown-sources",
        action="store_true",
        help="let a pod talk before its address is known, and so before its policy is loaded",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        nft = check_node()
    except (NodeError, OSError) as error:
        sys.exit(f"error: {error}")
    streams = Streams(arguments.kubectl, arguments.kubeconfig)
    streams.start()
    try:
        Enforcer(nft, streams, bridge=arguments.bridge, admit_unknown=arguments.admit_unknown_sources).run()
    except StreamError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        streams.close()


if __name__ == "__main__":
    main()
