"""How far an evaluation is: what the operator pulls, and what Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.lifecycle import EvaluationProgress
from deepcoder_evaluation.answers import Outcome


class Count:
    """How far the evaluation is; the progress route reads it. Each has metrics of its own."""

    def __init__(self) -> None:
        self.progress = EvaluationProgress(answered=0, total=0, message="reading the benchmarks")
        self.registry = CollectorRegistry()
        labels = ["benchmark"]
        self._answers = Gauge(
            "deepcoder_evaluation_answers", "Answers that are graded.", labels, registry=self.registry
        )
        self._accepted = Gauge(
            "deepcoder_evaluation_accepted", "Answers of which every test passed.", labels, registry=self.registry
        )
        self._pass_at_1 = Gauge(
            "deepcoder_evaluation_pass_at_1", "Mean share of accepted answers.", [*labels, "tokens"],
            registry=self.registry,
        )  # fmt: skip
        self._rating = Gauge("deepcoder_evaluation_rating", "Codeforces rating.", labels, registry=self.registry)

    def start(self, total: int) -> None:
        """All problems are known."""
        self.progress = EvaluationProgress(answered=0, total=total, message="answering")

    def graded(self, outcomes: Sequence[Outcome]) -> None:
        """One more answer is graded: its outcomes, by response limit."""
        final = outcomes[-1]
        before = self.progress
        self.progress = before.model_copy(
            update={"answered": before.answered + 1, "passed": before.passed + int(final.accepted)}
        )
        self._answers.labels(final.benchmark).inc()
        self._accepted.labels(final.benchmark).inc(int(final.accepted))

    def scored(self, report: EvaluationReport) -> None:
        """All is graded."""
        for one in report.benchmarks:
            for score in one.scores:
                self._pass_at_1.labels(one.name, str(score.tokens)).set(score.pass_at_1)
            if one.rating is not None and one.rating.rating is not None:
                self._rating.labels(one.name).set(one.rating.rating)


def application(count: Count) -> Starlette:
    """The evaluator's routes."""

    async def progress(request: Request) -> Response:
        return Response(count.progress.model_dump_json(), media_type="application/json")

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(count.registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/v1/progress", progress), Route("/healthz", health), Route("/metrics", metrics)])
