"""Brings one resource a step further: look, look again uncached before what is weighty, act, write the status once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import structlog

from deepcoder_api.specification import kubernetes_form
from deepcoder_api.training_run import FailureStatus, TrainingRunStatus
from deepcoder_operator.carry_out import carry_out
from deepcoder_operator.cluster import Cluster
from deepcoder_operator.draft import ENDED
from deepcoder_operator.errors import ClusterError, ConflictError, NotFoundError
from deepcoder_operator.index import Index, Key
from deepcoder_operator.kinds import SERVED
from deepcoder_operator.kubernetes_events import tell
from deepcoder_operator.look import AnyLook, Look, Looker
from deepcoder_operator.metrics import Metrics
from deepcoder_operator.plan import Plan, Status
from deepcoder_operator.resync import read_again, read_resource
from deepcoder_operator.status_writes import seconds_until_write, troubled
from deepcoder_operator.story import story

# Objects of an ended resource are asked to go until they are gone.
RELEASE_SECONDS = 5.0
LOG_LINES = 40
_LONGEST_LOG = 8192

_log = structlog.get_logger()


class Reconciler:
    """`wake` puts a key on the queue: that of an evaluation whose run has changed."""

    def __init__(
        self,
        cluster: Cluster,
        index: Index,
        looker: Looker,
        metrics: Metrics,
        wake: Callable[[Key], None],
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._index = index
        self._looker = looker
        self._metrics = metrics
        self._wake = wake
        self._now = now
        self._written_at: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring the resource a step further. After how many seconds to look again without an event; None: never.

        Raises ClusterError and UnreadableStatusError.
        """
        look = await self._look(key)
        if look is not None and look.weighty:
            await read_again(self._cluster, self._index, key, look.seen.uid, look.depends_on)
            look = await self._look(key)
        if look is None:
            return None
        # One type of status all the way through, whichever it is.
        return await self._act(cast("Look[Any]", look))

    async def _look(self, key: Key) -> AnyLook | None:
        seen = self._index.resource(key)
        if seen is None or seen.terminating:
            # Its children go by their owner references.
            self._written_at.pop(key, None)
            return None
        return await self._looker.look(seen)

    async def _act(self, look: Look[Status]) -> float | None:
        plan = look.plan
        trouble = await carry_out(self._cluster, self._index, look.owner, plan.actions)
        if trouble is not None:
            _log.warning("not carried out", resource=str(look.seen.key), reason=trouble.reason, error=trouble.message)
        if trouble is not None and plan.status.phase not in ENDED:
            plan = troubled(look.before, look.generation, look.children, trouble, self._now())
            await carry_out(self._cluster, self._index, look.owner, plan.actions)
        write_in = await self._write(look, await self._with_log(look, plan.status))
        return _soonest(plan, write_in)

    async def _with_log(self, look: Look[Status], status: Status) -> Status:
        failure = status.failure
        if failure is None or failure == look.before.failure or failure.log or not failure.pod or not failure.container:
            return status
        return status.model_copy(update={"failure": await self._logged(look.seen.key.namespace, failure)})

    async def _logged(self, namespace: str, failure: FailureStatus) -> FailureStatus:
        assert failure.pod is not None
        assert failure.container is not None
        try:
            text = await self._cluster.log_tail(namespace, failure.pod, failure.container, LOG_LINES)
        except ClusterError as error:
            # A container that never ran has no log, and a pod that is gone has none any more: the cause must do.
            _log.debug("no log", pod=failure.pod, error=str(error))
            return failure
        return failure.model_copy(update={"log": text[-_LONGEST_LOG:]})

    async def _write(self, look: Look[Status], status: Status) -> float | None:
        key = look.seen.key
        since = time.monotonic() - self._written_at.get(key, float("-inf"))
        write_in = seconds_until_write(look.before, status, since)
        if write_in is None or write_in > 0:
            return write_in
        document = {
            "apiVersion": SERVED[key.kind].api_version,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": look.seen.uid,
                "resourceVersion": look.resource_version,
            },
            "status": kubernetes_form(status),
        }
        try:
            self._index.put(key.kind, await self._cluster.write_status(document))
        except NotFoundError:
            # It was deleted meanwhile, which a watch tells too; there is nobody to write to.
            return None
        except ConflictError:
            await read_resource(self._cluster, self._index, key)
            raise
        self._written_at[key] = time.monotonic()
        await self._after_write(look, status)
        return None

    async def _after_write(self, look: Look[Status], status: Status) -> None:
        key = look.seen.key
        self._metrics.status_writes.labels(key.kind).inc()
        if isinstance(status, TrainingRunStatus) and isinstance(look.before, TrainingRunStatus):
            self._metrics.restarts.inc(max(0, (status.restarts or 0) - (look.before.restarts or 0)))
        if status.phase != look.before.phase:
            _log.info("phase", resource=str(key), before=look.before.phase, after=status.phase, message=status.message)
        await tell(self._cluster, look.seen, story(look.before, status), self._now())
        for waiting in self._index.waiting_for(key):
            self._wake(waiting)


def _soonest(plan: Plan[Status], write_in: float | None) -> float | None:
    releases = plan.status.phase in ENDED and bool(plan.actions)
    waits = (plan.again_in, write_in, RELEASE_SECONDS if releases else None)
    return min((wait for wait in waits if wait is not None), default=None)
