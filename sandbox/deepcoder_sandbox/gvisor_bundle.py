"""An OCI bundle that runs the grading server under runsc on this machine as a sandbox pod would run it.

An ordinary user without capabilities, a read-only root that holds the interpreter and our code and nothing else of
the machine, the mounts and variables that a kubelet gives a pod, no network at all; the server listens on a unix
socket in one shared folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepcoder_api.lifecycle import TERMINATION_LOG
from deepcoder_sandbox.privileges import PROGRAM_USER

SOCKET_FOLDER = "/server"
SCRATCH = "/scratch"
SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
# What a kubelet gives every container, and the two memory volumes of a sandbox pod.
POD_VARIABLES = (
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LANG=C.UTF-8",
    "HOSTNAME=sandbox",
    "KUBERNETES_SERVICE_HOST=10.96.0.1",
    "KUBERNETES_SERVICE_PORT=443",
)
RESOLV_CONF = (
    "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
)
POD_MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["mode=1777", "size=64m"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "size=256m"]},
    {"destination": SCRATCH, "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "size=1g"]},
)


def write_bundle(bundle: Path, socket_folder: Path, arguments: Sequence[str]) -> None:
    """Make `bundle`; the server inside gets `arguments` after its module's name. Raises OSError."""
    root = bundle / "rootfs"
    root.mkdir(parents=True)
    folders = _folders()
    for name in ("proc", "sys", "tmp", "dev", "etc", SCRATCH, SOCKET_FOLDER):
        (root / name.strip("/")).mkdir()
    (root / "etc" / "resolv.conf").write_text(RESOLV_CONF)
    termination_log = bundle / "termination-log"
    termination_log.touch()
    termination_log.chmod(0o666)
    mounts = [_bind(folder) for folder in folders if not _link(root, folder)]
    for mount in mounts:
        _mount_point(root, Path(mount["source"]))
    mounts += [
        *map(dict, POD_MOUNTS),
        _bind(str(termination_log), TERMINATION_LOG, "rw"),
        _bind(str(socket_folder), SOCKET_FOLDER, "rw"),
    ]
    (bundle / "config.json").write_text(json.dumps(_config(mounts, arguments), indent=1))


def _config(mounts: list[dict[str, Any]], arguments: Sequence[str]) -> dict[str, Any]:
    nothing: list[str] = []
    sets = ("bounding", "effective", "inheritable", "permitted", "ambient")
    return {
        "ociVersion": "1.0.0",
        "hostname": "sandbox",
        "root": {"path": "rootfs", "readonly": True},
        "mounts": mounts,
        "process": {
            "user": {"uid": PROGRAM_USER, "gid": PROGRAM_USER},
            "cwd": "/",
            "args": [sys.executable, "-B", "-m", "deepcoder_sandbox.server", *arguments],
            "env": [f"PYTHONPATH={os.pathsep.join(_python_path())}", *POD_VARIABLES],
            "capabilities": dict.fromkeys(sets, nothing),
            "noNewPrivileges": True,
        },
        "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
    }


def _python_path() -> list[str]:
    """The folders that hold our packages, where they are not installed beside the interpreter."""
    ours = ("deepcoder_sandbox", "deepcoder_api")
    found = [os.path.abspath(entry) for entry in sys.path if entry]
    return [entry for entry in found if any((Path(entry) / name).is_dir() for name in ours)]


def _folders() -> list[str]:
    """What the server needs of this machine, parents before children, each once."""
    wanted = [*SYSTEM_FOLDERS, sys.prefix, sys.base_prefix, *_python_path()]
    kept: list[str] = []
    for folder in sorted(set(wanted)):
        if os.path.exists(folder) and not any(folder.startswith(other + "/") for other in kept):
            kept.append(folder)
    return kept


def _link(root: Path, folder: str) -> bool:
    """Copy a symbolic link as one (/bin on most systems); whether `folder` was one."""
    if not os.path.islink(folder):
        return False
    target = root / folder.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(os.readlink(folder))
    return True


def _mount_point(root: Path, source: Path) -> None:
    point = root / str(source).lstrip("/")
    if source.is_dir():
        point.mkdir(parents=True, exist_ok=True)
    else:
        point.parent.mkdir(parents=True, exist_ok=True)
        point.touch()


def _bind(source: str, destination: str | None = None, access: str = "ro") -> dict[str, Any]:
    return {"destination": destination or source, "type": "bind", "source": source, "options": ["rbind", access]}
