"""The operator's Prometheus metrics."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deepcoder_operator.index import ResourceSeen


class Metrics:
    """One registry per operator."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            "deepcoder_operator_reconcile_seconds",
            "Seconds that one look at a resource took.",
            ["kind"],
            registry=self._registry,
        )
        self.errors = Counter(
            "deepcoder_operator_reconcile_errors",
            "Looks that ended in an error, by the error's type.",
            ["kind", "error"],
            registry=self._registry,
        )
        self.restarts = Counter(
            "deepcoder_operator_training_restarts",
            "Attempts of TrainingRuns that failures cost.",
            registry=self._registry,
        )
        self.status_writes = Counter(
            "deepcoder_operator_status_writes", "Statuses written.", ["kind"], registry=self._registry
        )
        self._queue_depth = Gauge(
            "deepcoder_operator_queue_depth", "Resources that wait for a worker.", registry=self._registry
        )
        self._resources = Gauge(
            "deepcoder_operator_resources", "Resources by phase.", ["kind", "phase"], registry=self._registry
        )

    def text(self, resources: Iterable[ResourceSeen], queue_depth: int) -> bytes:
        """All metrics in Prometheus' text form."""
        self._queue_depth.set(queue_depth)
        self._resources.clear()
        for (kind, phase), count in Tally((seen.key.kind, seen.phase or "Pending") for seen in resources).items():
            self._resources.labels(kind, phase).set(count)
        return generate_latest(self._registry)
