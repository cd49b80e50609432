"""The operator as the process that its image runs, with the rights that docs/decisions/0001 gives it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[3]
PERMISSIONS = ROOT / "docs" / "decisions" / "0001-operator-permissions.md"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
IMAGES = {
    f"DEEPCODER_IMAGE_{role}": f"registry/{role.lower()}:1" for role in ("WORKER", "TRAINER", "ROLLOUT", "SANDBOX")
}


CLUSTER_SCOPED = ("runtimeclasses", "customresourcedefinitions")


def cluster_role(name: str, *, cluster_scoped_only: bool = False) -> dict[str, object]:
    """The ClusterRole that the table of permissions describes, or only its rules of what is in no namespace."""
    rows = [line.split("|")[1:-1] for line in PERMISSIONS.read_text().splitlines() if line.startswith("|")][2:]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            _rule(*(cell.strip() for cell in row[:3]))
            for row in rows
            if not cluster_scoped_only or row[1].strip().startswith(CLUSTER_SCOPED)
        ],
    }


def _rule(group: str, resources: str, verbs: str) -> dict[str, object]:
    kinds, _, names = resources.partition(", resourceNames ")
    rule: dict[str, object] = {
        "apiGroups": [group.strip('"')],
        "resources": kinds.split(", "),
        "verbs": verbs.split(", "),
    }
    return {**rule, "resourceNames": re.split(r", | and ", names)} if names else rule


def operator_environment(kubeconfig: Path, port: int | None = None, namespaces: str = "") -> dict[str, str]:
    """The environment of an operator process that serves on `port`, or on one that is free."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        **IMAGES,
        "PYTHONPATH": os.pathsep.join(str(ROOT / room) for room in ("api", "operator")),
        "KUBECONFIG": str(kubeconfig),
        "DEEPCODER_NAMESPACES": namespaces,
        "DEEPCODER_PORT": str(port or _free_port()),
    }


@dataclass
class OperatorProcess:
    """One operator that may be ended and started again."""

    kubeconfig: Path
    log: Path
    namespaces: str = ""
    port: int = field(default_factory=lambda: _free_port())
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                # setpriv: the kernel ends it with the test session, however that ends.
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "deepcoder_operator"],
                env=operator_environment(self.kubeconfig, self.port, self.namespaces),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self._process.poll() is None, f"the operator ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"the operator is not ready:\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it. Returns its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(STOP_SECONDS)

    def metrics(self) -> str:
        """What /metrics tells."""
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics").raise_for_status().text

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.TransportError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]
