"""A whole evaluation, with stand-ins for engine and sandbox behind the evaluator's own clients.

tests/e2e and `deepcoder run` hold the real ones to the same contract.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from deepcoder_api.artifacts import EVALUATION_SAMPLE_COLUMNS
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_api.grading import IsolationReport, Verdict
from deepcoder_api.lifecycle import EvaluationProgress
from deepcoder_data.store import AccessDeniedError, ObjectStore, StoreError, StoreUnavailableError
from deepcoder_evaluation import records
from deepcoder_evaluation.chat import EngineError
from deepcoder_evaluation.evaluator import NotIsolatedError, evaluate, failure
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.progress import Count, application
from deepcoder_evaluation.reports import status_scores
from deepcoder_sandbox.client import GradeRefusedError, GradeUnavailableError
from tests.unit.evaluation.evaluation_builders import evaluation_job, outcome, write_problems
from tests.unit.evaluation.evaluation_world import OPEN, World

STORE = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")


async def run(world: World, folder: Path, problems: int, count: Count | None = None, **parts: Any) -> EvaluationReport:
    """Evaluate problems p0, p1, ... with results in `folder`/results."""
    name = {"name": "held-out", "kind": "jsonl", "uri": write_problems(folder, problems), **parts.pop("benchmark", {})}
    job = evaluation_job(benchmarks=[name], **parts)
    async with world.serving() as engines:
        return await evaluate(job, STORE, LocalFolder(folder / "results"), engines, engines.url, count or Count())


def test_columns_are_those_of_the_contract() -> None:
    """As deepcoder_api.artifacts has them."""
    from deepcoder_evaluation.samples import SCHEMA

    assert tuple(SCHEMA.names) == EVALUATION_SAMPLE_COLUMNS


async def test_128_problems_from_an_engine_that_loads_to_a_report(tmp_path: Path) -> None:
    """Samples, page and report are in the folder, the score is right, and the end follows the last answer at once."""
    world, count = World(), Count()
    started = time.monotonic()
    report = await run(world, tmp_path, 128, count)
    seconds = time.monotonic() - started
    results = tmp_path / "results"
    assert EvaluationReport.model_validate_json((results / "report.json").read_bytes()) == report
    (score,) = status_scores(report)
    assert (score.name, score.problems, score.pass_at_1, score.rating) == ("held-out", 128, 0.5, None)
    (benchmark,) = report.benchmarks
    assert (benchmark.pass_at_1, benchmark.verdicts) == (0.5, {"accepted": 64, "wrong_answer": 64})
    assert (report.engine.kind, report.engine.version, report.grader.isolation) == (
        "vllm", "0.32.0", "Linux 4.4.0 (gVisor)",
    )  # fmt: skip
    assert report.grader.profile == "strict"
    assert report.sampling.model_dump() == {
        "temperature": 0, "top_p": 0.95, "max_tokens": 64, "samples_per_prompt": 1, "seed": 0, "system_prompt": None,
        "named": {"top_k": 0, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0},
    }  # fmt: skip
    rows = pq.read_table(results / "samples.parquet").to_pylist()
    assert len(rows) == len(world.asked) == 128
    assert [row["problem"] for row in rows] == sorted(row["problem"] for row in rows)
    assert {row["verdict"] for row in rows if row["problem"] == "p7"} == {"accepted"}
    assert "p127" in (results / "report.html").read_text()
    assert count.progress == EvaluationProgress(answered=128, total=128, passed=64, message="answering")
    assert seconds < 60


async def test_a_finished_evaluation_costs_nothing(tmp_path: Path) -> None:
    """The report that is there is given: no server is asked anything."""
    world = World(loading=0)
    first = await run(world, tmp_path, 4)
    again = World(loading=10**9)
    assert await run(again, tmp_path, 4) == first
    assert (again.asked, again.graded, again.loading) == ([], [], 10**9)


async def test_without_its_report_it_is_made_again_of_what_is_there(tmp_path: Path) -> None:
    """An engine is not needed for that: every answer and grade is there, and its version is remembered."""
    first = await run(World(loading=0), tmp_path, 4)
    (tmp_path / "results" / "report.json").unlink()
    again = World(loading=10**9)
    second = await run(again, tmp_path, 4)
    assert second.model_copy(update={"seconds": first.seconds}) == first
    assert (again.asked, again.graded, again.loading) == ([], [], 10**9)


async def test_other_sampling_is_another_evaluation(tmp_path: Path) -> None:
    """Answers that were asked for otherwise are not taken for these."""
    await run(World(loading=0), tmp_path, 4)
    again = World(loading=0)
    await run(again, tmp_path, 4, sampling={"temperature": 0, "maxTokens": 63})
    assert len(again.asked) == 4


async def test_other_rules_grade_the_same_answers_again(tmp_path: Path) -> None:
    """Nothing is asked; the report is of the new rules."""
    await run(World(loading=0), tmp_path, 4)
    again = World(loading=0)
    report = await run(again, tmp_path, 4, sandbox={"profile": "lcb-v5"})
    assert (len(again.asked), len(again.graded)) == (0, 4)
    assert {request["profile"] for request in again.graded} == {"lcb-v5"}
    assert report.grader.profile == "lcb-v5"


async def test_repeats_are_answers_of_their_own_seeds(tmp_path: Path) -> None:
    """Two repeats of two samples: four seeds a problem, a score for each repeat."""
    world = World(loading=0)
    sampling = {"temperature": 0.6, "maxTokens": 64, "samplesPerPrompt": 2}
    report = await run(world, tmp_path, 3, sampling=sampling, benchmark={"repeats": 2})
    assert len({(body["seed"], body["messages"][0]["content"]) for body in world.asked}) == 12
    assert report.benchmarks[0].scores[0].repeats == (1 / 3, 1 / 3)
    assert report.benchmarks[0].scores[0].standard_deviation == 0


async def test_a_sandbox_that_must_be_isolated_and_is_not_gets_no_program(tmp_path: Path) -> None:
    """The evaluation fails closed, before the engine is asked anything."""
    world = World(IsolationReport(verified=False, required=True, failures=("the kernel is not gVisor's",)), loading=0)
    with pytest.raises(NotIsolatedError, match="the kernel is not gVisor's"):
        await run(world, tmp_path, 2)
    assert world.asked == []


async def test_a_local_sandbox_without_isolation_is_named_in_the_report(tmp_path: Path) -> None:
    """Where isolation is not required the report says that there was none."""
    assert (await run(World(OPEN, loading=0), tmp_path, 1)).grader.isolation == "not verified"


async def test_a_system_prompt_is_sent_and_named(tmp_path: Path) -> None:
    """The card has none: the report warns."""
    world = World(loading=0)
    report = await run(world, tmp_path, 1, sampling={"temperature": 0, "maxTokens": 64, "systemPrompt": "Be brief."})
    assert [message["role"] for message in world.asked[0]["messages"]] == ["system", "user"]
    assert any("system prompt" in warning for warning in report.warnings)


class AwayFolder(LocalFolder):
    """Fails the first puts as `failures` say."""

    def __init__(self, path: Path, *failures: StoreError) -> None:
        super().__init__(path)
        self.failures = list(failures)

    def put(self, name: str, content: bytes) -> None:
        if self.failures:
            raise self.failures.pop(0)
        super().put(name, content)


async def keep(folder: AwayFolder) -> None:
    async def put() -> None:
        folder.put("report.json", b"{}")

    await records.until_kept(put, "report.json", seconds=0.0 if folder.failures[-1].args == ("for good",) else 60.0)


async def test_results_outlive_a_store_that_is_away_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of answers are not lost to a restart of the store."""
    monkeypatch.setattr(records, "WRITE_PAUSE_SECONDS", 0.01)
    folder = AwayFolder(tmp_path, StoreUnavailableError("away"), StoreUnavailableError("away"))
    await keep(folder)
    assert folder.get("report.json") == b"{}"


@pytest.mark.parametrize("error", [AccessDeniedError("wrong key"), StoreUnavailableError("for good")])
async def test_what_the_store_does_not_take_in_the_end_is_an_error(error: StoreError, tmp_path: Path) -> None:
    """A refusal at once, an absence after the deadline."""
    with pytest.raises(type(error)):
        await keep(AwayFolder(tmp_path, *[error] * 3))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EngineError("refused", retryable=False), "permanent"),
        (EngineError("away", retryable=True), "retryable"),
        (GradeUnavailableError("no grade"), "retryable"),
        (GradeRefusedError("malformed"), "permanent"),
        (NotIsolatedError("open"), "retryable"),
        (AccessDeniedError("wrong key"), "permanent"),
        (StoreUnavailableError("away"), "retryable"),
        (ValueError("line 3: no tests"), "permanent"),
    ],
)
def test_how_each_failure_ends(error: Exception, outcome: str) -> None:
    """What the files or the request bring about comes again; what a server did not do may go better."""
    message = failure(error)
    assert (message.outcome, message.reason, message.cause) == (outcome, type(error).__name__, str(error))


async def test_progress_and_metrics_are_served_from_the_start() -> None:
    """Before the problems are known, and after each graded answer."""
    count = Count()
    transport = httpx.ASGITransport(application(count))
    async with httpx.AsyncClient(transport=transport, base_url="http://evaluator") as http:
        assert (await http.get("/v1/progress")).json() == {
            "answered": 0, "total": 0, "passed": 0, "message": "reading the benchmarks",
        }  # fmt: skip
        count.start(3)
        count.graded([outcome(tokens=8, verdict=Verdict.WRONG_ANSWER), outcome()])
        count.graded([outcome(verdict=Verdict.WRONG_ANSWER)])
        assert (await http.get("/v1/progress")).json() == {
            "answered": 2, "total": 3, "passed": 1, "message": "answering",
        }  # fmt: skip
        assert 'deepcoder_evaluation_answers{benchmark="held-out"} 2.0' in (await http.get("/metrics")).text
        assert (await http.get("/healthz")).status_code == 200
