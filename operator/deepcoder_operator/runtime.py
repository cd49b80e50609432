"""The running operator: watches feed the queue, workers empty it, full lists find what the watches missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

import structlog

from deepcoder_operator.cluster import Cluster
from deepcoder_operator.errors import ClusterError, RefusedError
from deepcoder_operator.facts import Facts
from deepcoder_operator.frozen import images_of
from deepcoder_operator.index import Index, Key
from deepcoder_operator.look import Looker, UnreadableStatusError
from deepcoder_operator.metrics import Metrics
from deepcoder_operator.plan import Surroundings
from deepcoder_operator.progress import ProgressReader
from deepcoder_operator.reconciler import Reconciler
from deepcoder_operator.resync import list_everything
from deepcoder_operator.settings import Settings
from deepcoder_operator.watching import watch
from deepcoder_operator.web import served
from deepcoder_operator.work_queue import WorkQueue

LIST_SECONDS = 180.0
LIST_RETRY_SECONDS = 5.0
# One look makes a few dozen requests at most; a worker is never held longer than this by one resource.
LOOK_SECONDS = 120.0
REFUSED_SECONDS = 60.0
STOP_SECONDS = 20.0

_log = structlog.get_logger()


class Runtime:
    """Everything that lives as long as the process."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._index = Index()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._metrics = Metrics()
        self._listed = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until the process is told to end. Looks under way are finished first."""
        async with AsyncExitStack() as stack:
            progress = ProgressReader()
            stack.push_async_callback(progress.close)
            reconcile = self._reconciler(progress).reconcile
            await stack.enter_async_context(
                served(self._settings.port, lambda: True, self._listed.is_set, self._metrics_text)
            )
            # Made before kopf starts: at its end kopf cancels whatever tasks have come up since.
            tasks = [asyncio.create_task(self._list_now_and_then())]
            tasks += [asyncio.create_task(self._work(reconcile)) for _ in range(self._settings.workers)]
            watching = asyncio.create_task(
                watch(self._index, self._queue.add, self._cluster.configuration, self._settings.namespaces)
            )
            try:
                await asyncio.wait([watching, *tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._stop(watching, tasks)

    def _reconciler(self, progress: ProgressReader) -> Reconciler:
        looker = Looker(self._index, Facts(self._cluster, self._index, progress), self._surroundings)
        return Reconciler(self._cluster, self._index, looker, self._metrics, self._queue.add, _now)

    def _surroundings(self) -> Surroundings:
        return Surroundings(_now(), self._settings.own_namespace, images_of(self._settings))

    def _metrics_text(self) -> bytes:
        return self._metrics.text(self._index.resources(), self._queue.depth)

    async def _list_now_and_then(self) -> None:
        while True:
            try:
                keys = await list_everything(self._cluster, self._index, self._settings.namespaces)
            except ClusterError as error:
                _log.warning("a full list failed", error=str(error))
                await asyncio.sleep(LIST_RETRY_SECONDS)
                continue
            for key in keys:
                self._queue.add(key)
            if not self._listed.is_set():
                _log.info("ready", resources=len(keys))
                self._listed.set()
            await asyncio.sleep(LIST_SECONDS)

    async def _work(self, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        # What is not listed yet would look as if it were not there.
        await self._listed.wait()
        while not self._stopping.is_set():
            key = await self._queue.get()
            begun = time.monotonic()
            try:
                await self._look_at(key, reconcile)
            finally:
                self._queue.done(key)
                self._metrics.reconcile_seconds.labels(key.kind).observe(time.monotonic() - begun)

    async def _look_at(self, key: Key, reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                again_in = await reconcile(key)
        except (RefusedError, UnreadableStatusError) as error:
            # The same would be refused at once again; an event or the next full list may bring something new.
            self._failed(key, error)
            self._queue.add_after(key, REFUSED_SECONDS)
        except (ClusterError, TimeoutError) as error:
            self._failed(key, error)
            self._queue.retry(key)
        except Exception as error:  # noqa: BLE001 - a fault in one resource's look must not end all others'
            self._failed(key, error, exc_info=error)
            self._queue.retry(key)
        else:
            self._queue.succeeded(key)
            if again_in is not None:
                self._queue.add_after(key, again_in)

    def _failed(self, key: Key, error: Exception, exc_info: Exception | None = None) -> None:
        self._metrics.errors.labels(key.kind, type(error).__name__).inc()
        _log.warning("look failed", resource=str(key), error=str(error) or type(error).__name__, exc_info=exc_info)

    async def _stop(self, watching: asyncio.Task[None], tasks: list[asyncio.Task[None]]) -> None:
        """End all tasks; a worker gets the time to finish its look. Raises what ended the first."""
        self._stopping.set()
        watching.cancel()
        busy = [task for task in tasks if not task.done()]
        await self._finish_looks()
        for task in busy:
            task.cancel()
        ends = await asyncio.gather(watching, *tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _finish_looks(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._queue.idle.wait()


def _now() -> datetime:
    return datetime.now(UTC)
