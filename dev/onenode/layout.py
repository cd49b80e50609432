"""Where one clone's cluster lives: folders, addresses, network device and cgroup. Pure but for reading the claims."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from machine import MissingError, cache_folder

ROOT = Path(__file__).resolve().parent.parent.parent
SLOTS = range(1, 200)
REGISTRY = "registry.deepcoder.local:5000"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
POD_NETWORK = "10.244.0.0/16"
NODE_NETWORK = "10.244.0.0/24"
NODE = "node1"


@dataclass(frozen=True)
class Layout:
    """One cluster of one clone. `slot` makes device, addresses and cgroup its own on this machine."""

    clone: str
    slot: int
    cache: str

    @property
    def state(self) -> Path:
        """The folder that all of the cluster's files are in; gone after `down`."""
        return Path(self.clone) / "build" / "cluster"

    @property
    def binaries(self) -> Path:
        """Links to the tools."""
        return Path(self.clone) / "build" / "bin"

    @property
    def device(self) -> str:
        """The host's end of the link to the cluster."""
        return f"deepcoder{self.slot}"

    @property
    def host_address(self) -> str:
        """The host, as the cluster sees it."""
        return f"10.200.{self.slot}.1"

    @property
    def address(self) -> str:
        """The cluster's node, as the host sees it."""
        return f"10.200.{self.slot}.2"

    @property
    def cgroup(self) -> str:
        """The name of the cgroup that every pod is under."""
        return f"deepcoder-{self.slot}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def first_process(self) -> Path:
        """A file with the pid, on the host, of the first process in the cluster's namespaces."""
        return self.state / "first.pid"

    def to_json(self) -> str:
        """The layout as text, for the process inside the namespaces."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout of `to_json`."""
        return cls(**json.loads(text))


@contextmanager
def machine_lock() -> Iterator[Path]:
    """Hold the machine's lock over the claims of slots; yields the folder of the claims."""
    folder = cache_folder() / "clusters"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def claim(clone: Path, used_devices: set[str]) -> Layout:
    """The clone's layout: the slot it has, or a free one that is then its own. Raises MissingError when none is."""
    with machine_lock() as folder:
        claims = read_claims(folder)
        for slot, owner in claims.items():
            if owner == str(clone):
                return _layout(clone, slot)
        for slot in SLOTS:
            if slot not in claims and _layout(clone, slot).device not in used_devices:
                (folder / f"{slot}.claim").write_text(str(clone))
                return _layout(clone, slot)
    raise MissingError(f"all {len(SLOTS)} slots for clusters on this machine are taken: take one down with `make down`")


def existing(clone: Path) -> Layout | None:
    """The clone's layout if it has claimed a slot."""
    with machine_lock() as folder:
        for slot, owner in read_claims(folder).items():
            if owner == str(clone):
                return _layout(clone, slot)
    return None


def release(layout: Layout) -> None:
    """Give the slot back."""
    with machine_lock() as folder:
        (folder / f"{layout.slot}.claim").unlink(missing_ok=True)


def read_claims(folder: Path) -> dict[int, str]:
    """Slot to clone. A claim of a clone that is gone from the disk counts no longer."""
    claims: dict[int, str] = {}
    for file in folder.glob("*.claim"):
        owner = file.read_text()
        if Path(owner).exists():
            claims[int(file.stem)] = owner
        else:
            file.unlink()
    return claims


def _layout(clone: Path, slot: int) -> Layout:
    return Layout(clone=str(clone), slot=slot, cache=str(cache_folder()))
