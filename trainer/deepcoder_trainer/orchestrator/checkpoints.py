"""Checkpoints: written by the ranks, uploaded behind the steps, committed through the head, pruned."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from deepcoder_api.artifacts import COMPLETE, Head, RunPaths
from deepcoder_api.lifecycle import ScoredCheckpoint
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.folders import commit_folder, delete_completed, download_folder, remove_incomplete
from deepcoder_data.head import FencedError, advance_head, claim_head, read_head
from deepcoder_data.holds import delete_unless_held
from deepcoder_data.store import ObjectStore
from deepcoder_trainer.orchestrator.behind import OneBehind
from deepcoder_trainer.orchestrator.journal import Journal
from deepcoder_trainer.orchestrator.model_card import complete_model
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.resume import RunState
from deepcoder_trainer.orchestrator.storage import stored
from deepcoder_trainer.rank_protocol import Save

STATE = "state.json"
SAVE_SECONDS = 3600.0
UPLOAD_SECONDS = 4 * 3600.0
_NAME = re.compile(r"/step-(\d+)/" + re.escape(COMPLETE) + "$")
log = structlog.get_logger("checkpoints")


@dataclass(frozen=True)
class Committed:
    """A checkpoint that the head names."""

    uri: str
    step: int
    time: str
    bytes: int
    seconds: float


class Checkpoints:
    """The checkpoints of one run, as one attempt writes them. At most one is on its way at a time."""

    def __init__(
        self, *, store: ObjectStore, paths: RunPaths, journal: Journal, ranks: RankChannel, attempt: int,
        folder: Path, run: ResolvedRun, scores: Mapping[int, float], committed: Callable[[Committed], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._paths = paths
        self._journal = journal
        self._ranks = ranks
        self._attempt = attempt
        self._folder = folder
        self._run = run
        self._keep = run.spec.checkpoint
        self._scores = scores
        self._steps: tuple[int, ...] = ()
        self._committed = committed
        self.behind = OneBehind()

    async def claim(self) -> Head:
        """Take over the run: older attempts can commit nothing from now on. Raises TakenOver."""
        head = await stored(lambda: claim_head(self._store, self._paths.head, self._attempt), "claim the run")
        removed = await stored(
            lambda: remove_incomplete(self._store, self._paths.checkpoints), "remove unfinished checkpoints"
        )
        self._steps = tuple(step for step in await self._complete() if step <= head.step)
        log.info("claimed", step=head.step, checkpoint=head.checkpoint, removed=removed)
        return head

    async def state(self, uri: str) -> RunState:
        """Where the run was when a checkpoint was written. Raises StorageRefused when it is not one."""
        content = await stored(lambda: self._store.get_bytes(f"{uri}/{STATE}"), f"read {uri}/{STATE}")
        return RunState.model_validate_json(content)

    async def fetch(self, uri: str) -> Path:
        """Download a checkpoint, check every file, and return its folder."""
        folder = self._folder / "resume"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await stored(lambda: download_folder(self._store, uri, folder), f"download {uri}", UPLOAD_SECONDS)
        return folder

    async def fetch_other(self, uri: str) -> Path:
        """Download the ranks' part of another run's checkpoint, check every file, and return the folder."""
        folder = self._folder / "other"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        await stored(
            lambda: download_folder(self._store, uri, folder / "state", under="state/"), f"download {uri}",
            UPLOAD_SECONDS,
        )  # fmt: skip
        return folder

    async def begin(self, state: RunState, recorded: Callable[[], Awaitable[None]]) -> None:
        """Start a checkpoint of `state`; waits only for the one before. The ranks save between their commands.

        recorded: awaited before the commit. No later attempt trains the steps of a committed checkpoint again, so
        what else is written of them must be there by then.
        """
        await self.behind.begin(self._write(state, recorded))

    async def _write(self, state: RunState, recorded: Callable[[], Awaitable[None]]) -> None:
        started = time.monotonic()
        local = self._folder / f"step-{state.step:06d}"
        await asyncio.to_thread(shutil.rmtree, local, ignore_errors=True)
        local.mkdir(parents=True)
        await self._ranks.issue(Save(step=state.step, directory=str(local)), SAVE_SECONDS)
        await asyncio.to_thread(complete_model, local / "model", self._run, state, self._scores.get(state.step))
        (local / STATE).write_text(state.model_dump_json(indent=1))
        uri = self._paths.checkpoint(state.step)
        written = await stored(lambda: self._upload(local, uri), f"upload {uri}", UPLOAD_SECONDS)
        await recorded()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        await stored(
            lambda: advance_head(
                self._store, self._paths.head, attempt=self._attempt, checkpoint=uri, step=state.step, time=now
            ),
            f"commit {uri}",
        )
        self._steps = (*(step for step in self._steps if step != state.step), state.step)
        self._committed(Committed(uri, state.step, now, written, time.monotonic() - started))
        await asyncio.to_thread(shutil.rmtree, local, ignore_errors=True)
        await self._prune(state.step)

    def _upload(self, local: Path, uri: str) -> int:
        # A zombie of an older attempt must not write into a checkpoint of the newer one.
        head = read_head(self._store, self._paths.head)
        if head is None or head[0].attempt != self._attempt:
            raise FencedError(f"{self._paths.head}: attempt {self._attempt} no longer owns the run")
        # What an earlier attempt completed but did not commit must not look whole while it is overwritten.
        if self._store.exists(f"{uri}/{COMPLETE}"):
            delete_completed(self._store, uri)
        metadata = {"attempt": str(self._attempt)}
        return commit_folder(self._store, local, uri, metadata).total_bytes

    @property
    def best(self) -> ScoredCheckpoint | None:
        """The committed checkpoint with the best validation score; of equal ones the earliest."""
        for step in best_steps(self._steps, self._scores, 1):
            return ScoredCheckpoint(uri=self._paths.checkpoint(step), step=step, score=self._scores[step])
        return None

    async def _complete(self) -> list[int]:
        names = await stored(
            lambda: [entry.uri for entry in self._store.list(self._paths.checkpoints)], "list checkpoints"
        )
        return sorted(int(match[1]) for name in names if (match := _NAME.search(name)))

    async def _prune(self, newest: int) -> None:
        """Keep the newest checkpoints, the best, those that are held, and the journal from the oldest of the newest."""
        committed = [step for step in await self._complete() if step <= newest]
        last = committed[-self._keep.keep_last :]
        kept = {*last, *best_steps(committed, self._scores, self._keep.keep_best)}
        for step in committed:
            if step in kept:
                continue
            uri = self._paths.checkpoint(step)
            held = await stored(lambda uri=uri: delete_unless_held(self._store, uri), f"delete {uri}")
            if held:
                log.info("a checkpoint is held and stays", step=step, holders=held)
                kept.add(step)
        self._steps = tuple(sorted(kept))
        await self._journal.remove_through(last[0])


def best_steps(steps: Collection[int], scores: Mapping[int, float], count: int) -> list[int]:
    """The `count` steps with the best scores, the best first; of equal ones the earlier. Steps without one are none."""
    return sorted((step for step in steps if step in scores), key=lambda step: (-scores[step], step))[:count]
