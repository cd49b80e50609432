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

        of_a_benchmark = ["namespace", "name", "benchmark"]
        self._pass_at_1 = Gauge(
            "deepcoder_operator_evaluation_pass_at_1",
            "Mean share of accepted answers of an Evaluation that has succeeded, by response limit in tokens.",
            [*of_a_benchmark, "tokens"],
            registry=self._registry,
        )
        self._rating = Gauge(
            "deepcoder_operator_evaluation_rating",
            "Codeforces rating of an Evaluation that has succeeded.",
            of_a_benchmark,
            registry=self._registry,
        )

    def text(self, resources: Iterable[ResourceSeen], queue_depth: int) -> bytes:
        """All metrics in Prometheus' text form."""
        self._queue_depth.set(queue_depth)
        self._resources.clear()
        seen = list(resources)
        for (kind, phase), count in Tally((one.key.kind, one.phase or "Pending") for one in seen).items():
            self._resources.labels(kind, phase).set(count)
        self._pass_at_1.clear()
        self._rating.clear()
        for one in seen:
            if one.key.kind == "Evaluation" and one.phase == "Succeeded":
                self._scored(one)
        return generate_latest(self._registry)

    def _scored(self, seen: ResourceSeen) -> None:
        """The scores that stand in its status. The evaluator, which has them first, is gone when they would be read."""
        for score in seen.document()["status"].get("scores") or ():
            labels = (seen.key.namespace, seen.key.name, str(score["name"]))
            for length in score.get("lengths") or ():
                self._pass_at_1.labels(*labels, str(length["tokens"])).set(length["passAt1"])
            if score.get("rating") is not None:
                self._rating.labels(*labels).set(score["rating"])
