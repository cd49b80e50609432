"""The two runs: a quiet one that says what every program's grade is, and the load that must say the same."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from benchmarks.sandbox_load.accounting import Account, Expectation, outcome
from benchmarks.sandbox_load.corpus import SEED, Corpus
from benchmarks.sandbox_load.sample import Sample
from deepcoder_api.grading import GradeResult, Verdict
from deepcoder_sandbox.client import SandboxClient
from deepcoder_sandbox.client_errors import SandboxError

DEADLINE_SECONDS = 900.0
RETRIES = "deepcoder_sandbox_client_retries_total"


@dataclass
class Quiet:
    """What the quiet run said of each program, by name; and what it should not have."""

    expectations: dict[str, Expectation] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    largest_share_of_limit: float = 0.0

    def add(self, sample: Sample, result: GradeResult) -> None:
        """The grade of `sample`, alone."""
        self.expectations[sample.name] = Expectation(outcome(result), sample.verdicts)
        if result.verdict not in sample.verdicts:
            right = ", ".join(sorted(sample.verdicts))
            self.surprises.append(f"quiet ({sample.name}): {result.verdict}, not {right}: {result.detail}")
        if Verdict.TIME_LIMIT not in sample.verdicts:
            used = max((test.wall_seconds for test in result.tests), default=0.0) / sample.limits.timeout_seconds
            self.largest_share_of_limit = max(self.largest_share_of_limit, used)


async def run_quiet(urls: Sequence[str], corpus: Corpus) -> Quiet:
    """Grade each program once, one at a time. Raises SandboxError."""
    quiet = Quiet()
    async with SandboxClient(urls, max_in_flight=1) as client:
        for sample in corpus.samples:
            quiet.add(sample, await _grade(client, sample, sample.name))
    return quiet


class Load:
    """`clients` clients with `in_flight` grades each. `ended` is set, after `seconds`, once no grade is on its way."""

    def __init__(self, urls: Sequence[str], corpus: Corpus, account: Account, *, clients: int, in_flight: int) -> None:
        self._urls, self._corpus, self._account = urls, corpus, account
        self._clients, self._in_flight = clients, in_flight
        self._registries = [CollectorRegistry() for _ in range(clients)]
        self.ended = asyncio.Event()
        self.seconds = 0.0

    async def run(self, seconds: float) -> None:
        """Ask for `seconds`, then wait for what is on its way."""
        begun = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(self._clients):
                    tasks.create_task(self._run_client(number, begun + seconds))
        finally:
            self.seconds = time.monotonic() - begun
            self.ended.set()

    def retries(self) -> dict[str, int]:
        """Attempts that failed and were made again, of all clients, by reason."""
        found: Counter[str] = Counter()
        for registry in self._registries:
            for metric in registry.collect():
                found.update({s.labels["reason"]: int(s.value) for s in metric.samples if s.name == RETRIES})
        return dict(found.most_common())

    async def _run_client(self, number: int, until: float) -> None:
        samples = enumerate(self._corpus.draw(f"{SEED}-{number}"))
        registry = self._registries[number]
        async with (
            SandboxClient(self._urls, max_in_flight=self._in_flight, registry=registry) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(self._in_flight):
                tasks.create_task(self._ask(client, number, samples, until))

    async def _ask(
        self, client: SandboxClient, number: int, samples: Iterator[tuple[int, Sample]], until: float
    ) -> None:
        """One grade after the other."""
        while (begun := time.monotonic()) < until:
            place, sample = next(samples)
            id = f"{number}-{place}"
            self._account.ask(id, sample)
            try:
                result = await _grade(client, sample, id)
            except SandboxError as error:
                self._account.fail(id, f"{type(error).__name__}: {error}")
            else:
                self._account.answer(result, time.monotonic() - begun)


async def _grade(client: SandboxClient, sample: Sample, id: str) -> GradeResult:
    return await client.grade(
        sample.suite, sample.program, id=id, limits=sample.limits, deadline_seconds=DEADLINE_SECONDS
    )
