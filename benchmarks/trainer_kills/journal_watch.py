"""The journal as it was while the run went on: entries are written once, and pruned when a checkpoint holds them."""

from __future__ import annotations

import asyncio
import re

from benchmarks.trainer_kills.rows import Row, rows
from deepcoder_data.store import ObjectMissingError, ObjectStore

_NAME = re.compile(r"/runs/.+/journal/step-(\d+)\.parquet$")
LOOK_SECONDS = 1.0


class JournalWatch:
    """Looks at every journal under `storage`, past the faults: by a way to the server of its own."""

    def __init__(self, store: ObjectStore, storage: str) -> None:
        self._store = store
        self._storage = storage
        self._etags: dict[int, str] = {}
        self.entries: dict[int, list[Row]] = {}
        self.rewritten: list[str] = []

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Read what is new. Raises StoreError."""
        for entry in self._store.list(self._storage):
            match = _NAME.search(entry.uri)
            if match is None:
                continue
            step = int(match[1])
            if step not in self._etags:
                self._read(step, entry.uri, entry.etag)
            elif self._etags[step] != entry.etag:
                self.rewritten.append(f"the journal of step {step} was written again: {entry.etag}")
                self._etags[step] = entry.etag

    def _read(self, step: int, uri: str, etag: str) -> None:
        try:
            self.entries[step] = rows(self._store.get_bytes(uri))
        except ObjectMissingError:
            return  # pruned meanwhile
        self._etags[step] = etag
