"""What a client of grading servers counts. Metrics of a client without a registry are kept, and shown nowhere."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from deepcoder_api.grading import GradeResult

SECONDS_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
_PREFIX = "deepcoder_sandbox_client"


class ClientMetrics:
    """Grades of one client. A registry takes one client: a second one's names would be the same.

    `grades` and `internal_errors` count what the metrics of those names do, for whoever asks the client itself.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self.grades = self.internal_errors = 0
        self.in_flight = Gauge(f"{_PREFIX}_in_flight", "Grades asked for and not answered.", registry=registry)
        self._grades = Counter(f"{_PREFIX}_grades", "Programs graded, by verdict.", ["verdict"], registry=registry)
        self._ungraded = Counter(
            f"{_PREFIX}_ungraded",
            "Programs not graded, by reason: unavailable, refused.",
            ["reason"],
            registry=registry,
        )
        self._retries = Counter(
            f"{_PREFIX}_retries", "Attempts that failed and were made again, by reason.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_seconds",
            "Seconds from asking to the grade, attempts that failed and waiting for a slot with them.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )

    def graded(self, result: GradeResult, seconds: float) -> None:
        """A grade was given."""
        self.grades += 1
        self._grades.labels(result.verdict.value).inc()
        self._seconds.observe(seconds)

    def ungraded(self, reason: str) -> None:
        """No grade was given."""
        self._ungraded.labels(reason).inc()

    def retried(self, reason: str) -> None:
        """An attempt failed."""
        self.internal_errors += reason == "internal_error"
        self._retries.labels(reason).inc()
