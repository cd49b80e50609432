"""`deepcoder run` of an Evaluation that is finished: its report is told again, and no engine is started for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_cli.local.addresses import free_port
from deepcoder_cli.local.evaluation import LocalEvaluation
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.evaluator import serve_and_evaluate
from deepcoder_evaluation.preflight import finished
from tests.model_folders import write_model_folder
from tests.resolved_evaluations import resolved_evaluation
from tests.s3_server import S3Server
from tests.unit.evaluation.evaluation_builders import write_problems
from tests.unit.evaluation.evaluation_world import World


@pytest.fixture
async def evaluation(
    s3: S3Server, store_of_environment: ObjectStore, bucket: str, tmp_path: Path
) -> ResolvedEvaluation:
    """An evaluation whose answers came from a stand-in, and whose report is in the store."""
    made = resolved_evaluation(
        write_model_folder(tmp_path / "model").as_uri(),
        sampling={"temperature": 0, "maxTokens": 64},
        benchmarks=[{"name": "held-out", "kind": "jsonl", "uri": write_problems(tmp_path, 4)}],
        storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint, "secretName": "s3-credentials"},
    ).model_copy(update={"model_name": "policy"})
    assert finished(made, store_of_environment) is None
    async with World().serving() as engines:
        message = await serve_and_evaluate(made, engines.url, engines.url, "127.0.0.1", free_port())
    assert message.outcome == "done", message
    return made


def test_nothing_but_the_preflight_is_started(s3: S3Server, evaluation: ResolvedEvaluation, tmp_path: Path) -> None:
    """No model is fetched, and neither an engine nor an evaluator leaves a log."""
    said: list[str] = []
    with LocalGrading(said.append, native=True) as grading:
        run = LocalEvaluation(
            evaluation, tmp_path / "state", grading, s3.environment, say=said.append, show=lambda progress: None
        )
        message = run.execute()
    assert message.scores is not None
    assert [(score.name, score.pass_at_1) for score in message.scores] == [("held-out", 0.5)]
    assert (message.uri or "").endswith("/report.json")
    assert said[-1] == "it is finished already; nothing is started"
    assert [log.name for log in sorted((tmp_path / "state" / "logs").glob("*.log"))] == ["preflight.log"]
    assert not (tmp_path / "state" / "model").exists()


@pytest.mark.parametrize("changed", ["problems", "model"])
def test_another_benchmark_or_model_of_the_same_name_is_not_finished(
    changed: str, store_of_environment: ObjectStore, evaluation: ResolvedEvaluation, tmp_path: Path
) -> None:
    """Whatever the report says that is there."""
    if changed == "problems":
        write_problems(tmp_path, 5)
    else:
        (tmp_path / "model" / "tokenizer.json").write_text("{}")
    assert finished(evaluation, store_of_environment) is None
