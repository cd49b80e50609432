"""A real Kubernetes control plane as processes of the test session: etcd, the API server and its controllers.

No scheduler and no kubelet: what the API server accepts and the controllers make of it is real, and no pod ever runs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "dev"))  # its modules import each other from there

from onenode.certificates import make_certificates, write_kubeconfig  # noqa: E402 - found by the line above
from onenode.layout import Layout  # noqa: E402

BINARIES = ROOT / "build" / "bin"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
READY_SECONDS = 120.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.1
_LOG_LINES = 15


class ControlPlaneError(Exception):
    """The control plane cannot be had; the message says which part, and the end of its log."""


class KubectlError(Exception):
    """kubectl ended badly. The message is what it printed, as a user sees it."""


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane, spoken to as an administrator."""

    folder: Path
    kubeconfig: Path
    server: str

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        """What kubectl prints, given `text` on standard input. Raises KubectlError."""
        done = self.try_kubectl(*arguments, text=text, seconds=seconds)
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def try_kubectl(
        self, *arguments: str, text: str | None = None, seconds: float = 60, kubeconfig: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """kubectl's end, well or not, as the administrator or as whoever `kubeconfig` names."""
        return subprocess.run(
            [str(BINARIES / "kubectl"), "--kubeconfig", str(kubeconfig or self.kubeconfig), *arguments],
            # HOME holds kubectl's discovery cache: ours, so that another cluster's kinds are never found in it.
            env={**os.environ, "HOME": str(self.folder)},
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig with the rights of a ServiceAccount that is there, good for an hour."""
        config = json.loads(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": self.kubectl("-n", namespace, "create", "token", name).strip()}
        file = self.folder / f"{namespace}-{name}.conf"
        file.write_text(json.dumps(config))
        file.chmod(0o600)
        return file


@contextmanager
def running_control_plane(crds: Path | None = ROOT / "crds") -> Iterator[ControlPlane]:
    """Start a control plane on ports of its own and end it for certain. `crds` None leaves it bare.

    Raises ControlPlaneError.
    """
    missing = [name for name in PROGRAMS if not (BINARIES / name).exists()]
    if missing:
        raise ControlPlaneError(f"{', '.join(missing)}: not in build/bin; run `make integration`, which builds them")
    with tempfile.TemporaryDirectory(prefix="deepcoder-control-plane-") as name, ExitStack() as processes:
        plane = _start(Path(name), processes)
        if crds is not None:
            plane.kubectl("apply", "--server-side", "-f", str(crds))
            plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(crds), seconds=70)
        yield plane


def _start(folder: Path, processes: ExitStack) -> ControlPlane:
    etcd, peer, secure = _free_ports(3)
    layout = Layout(clone=str(folder), slot=0, cache=str(folder))
    make_certificates(layout)
    server = f"https://127.0.0.1:{secure}"
    admin, controllers = folder / "admin.conf", folder / "controllers.conf"
    write_kubeconfig(layout, "admin", admin, server)
    write_kubeconfig(layout, "controller-manager", controllers, server)
    pki = layout.state / "pki"
    plane = ControlPlane(folder, admin, server)

    store = _enter(processes, folder, _etcd_command(folder, etcd, peer))
    api = _enter(processes, folder, _api_server_command(pki, etcd, secure))
    _wait([store, api], "the API server", lambda: plane.try_kubectl("get", "--raw", "/readyz").returncode == 0)
    manager = _enter(processes, folder, _controllers_command(pki, controllers))

    def default_account() -> bool:
        return plane.try_kubectl("-n", "default", "get", "serviceaccount", "default").returncode == 0

    _wait([store, api, manager], "the controllers", default_account)
    return plane


def _etcd_command(folder: Path, port: int, peer: int) -> list[str]:
    here = f"http://127.0.0.1:{port}"
    return [
        *("etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--listen-client-urls", here),
        *("--advertise-client-urls", here, "--listen-peer-urls", f"http://127.0.0.1:{peer}"),
    ]


def _api_server_command(pki: Path, etcd: int, port: int) -> list[str]:
    return [
        *("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={port}"),
        *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=Node,RBAC"),
        # The second refuses a blockOwnerDeletion to who may not update the owner's finalizers, as strict clusters do.
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        *(f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key"),
        *(f"--client-ca-file={pki}/ca.crt", f"--service-account-key-file={pki}/sa.pub"),
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
    ]


def _controllers_command(pki: Path, kubeconfig: Path) -> list[str]:
    return [
        *("kube-controller-manager", f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false"),
        *(f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt"),
        "--use-service-account-credentials=true",
    ]


@dataclass(frozen=True)
class _Process:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _enter(processes: ExitStack, folder: Path, command: list[str]) -> _Process:
    log = folder / f"{command[0]}.log"
    with log.open("wb") as output:
        # setpriv: the kernel ends it with the test session, however that ends.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(BINARIES / command[0]), *command[1:]],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    processes.callback(_end, process)
    return _Process(command[0], process, log)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(processes: list[_Process], what: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        for process in processes:
            if process.process.poll() is not None:
                code = process.process.returncode
                raise ControlPlaneError(f"{process.name} ended with exit code {code}:\n{process.tail()}")
        if time.monotonic() > deadline:
            tails = "\n".join(f"--- {process.name}\n{process.tail()}" for process in processes)
            raise ControlPlaneError(f"{what}: not ready after {READY_SECONDS:.0f} s\n{tails}")
        time.sleep(POLL_SECONDS)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
