"""The shards of one version in shared memory: those that are here whole, and those that are coming.

They stay after they are loaded, for servers that come later, until an order of another version.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.rollout import Shard, WeightOrder

Version = tuple[int, int]
"""Attempt and policy version, in the order in which they follow each other."""
NOTHING: Version = (0, 0)


class NotYetError(Exception):
    """The shard is coming, or its order may be; ask again."""


class GoneError(Exception):
    """The shard is not here and will not come."""


class ShardStore:
    """The folder of the newest version that was ordered. All calls are of one thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._version = NOTHING
        self._held: dict[str, FileDigest] = {}
        self._coming: set[str] = set()
        self._tries = 0

    @property
    def folder(self) -> Path:
        """Where the version's shards lie, and nothing else."""
        return self._root / "version-{}-{}".format(*self._version)

    def clear(self) -> None:
        """A root without what an earlier process or version left, which is of no use.

        A thread of a fetch that was given up may still write there: its file goes the next time.
        """
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True, exist_ok=True)
        self._version, self._held, self._coming = NOTHING, {}, set()

    def begin(self, order: WeightOrder) -> list[Shard]:
        """Make room for a version and return what is missing of it; shards of it that came before are kept."""
        version = (order.attempt, order.version)
        if version != self._version:
            self.clear()
            self._version = version
        self.folder.mkdir(exist_ok=True)
        wanted = {Path(shard.path).name: shard for shard in order.shards}
        for name in [name for name, held in self._held.items() if name not in wanted or not _same(held, wanted[name])]:
            del self._held[name]
            (self.folder / name).unlink()
        missing = [shard for name, shard in wanted.items() if name not in self._held]
        self._coming = {Path(shard.path).name for shard in missing}
        return missing

    def unfinished(self, shard: Shard) -> Path:
        """Where a shard is written before it is known to be whole: each time another file, which nobody reads."""
        self._tries += 1
        return self.folder / f".{Path(shard.path).name}.{self._tries}"

    def arrived(self, shard: Shard, unfinished: Path) -> None:
        """The unfinished file is whole and has the right checksum: from now on it is served."""
        name = Path(shard.path).name
        os.replace(unfinished, self.folder / name)
        self._held[name] = FileDigest(path=name, bytes=shard.bytes, sha256=shard.sha256)
        self._coming.discard(name)

    def give_up(self) -> None:
        """What has not come does not come any more. What has stays."""
        for file in self.folder.glob(".*"):
            file.unlink(missing_ok=True)
        self._coming = set()

    def find(self, version: Version, name: str) -> Path:
        """The file of a shard. Raises NotYetError or GoneError."""
        if version == self._version and name in self._held:
            return self.folder / name
        if version > self._version or (version == self._version and name in self._coming):
            raise NotYetError(name)
        raise GoneError(name)


def _same(held: FileDigest, wanted: Shard) -> bool:
    return (held.bytes, held.sha256) == (wanted.bytes, wanted.sha256)
