"""HumanEval on the cluster, every program in gVisor: by the prepare Job, and asked of an endpoint by Evaluations."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from deployment import NAMESPACE, Cluster

from deepcoder_api.artifacts import DatasetReport
from deepcoder_data.store import ObjectStore
from tests.e2e.resources import (
    Document,
    Resources,
    condition,
    endpoint_evaluation,
    phase,
    report_of,
    samples_of,
    training_run,
)
from tests.human_eval_endpoint import HUMAN_EVAL, KEY, MODEL, Endpoint, serving

pytestmark = [
    *(pytest.mark.cluster, pytest.mark.shared_data, pytest.mark.timeout(900)),
    pytest.mark.skipif(not HUMAN_EVAL.exists(), reason="../shared/data is not beside this clone"),
]

URI = "s3://deepcoder/e2e/HumanEval.jsonl.gz"
SECRET = "e2e-endpoint-key"


def test_all_164_problems_are_verified(resources: Resources, store: ObjectStore) -> None:
    """The dataset's report counts 164 read, kept and verified, and nothing dropped."""
    store.upload_file(HUMAN_EVAL, URI)
    data = {
        "sources": [{"name": "human-eval", "format": "humaneval", "uri": URI}],
        "maxPromptTokens": 4096,
        "verifySolutions": "Required",
    }
    trainer = {"tokensPerMicrobatch": 8192}
    run = resources.apply(training_run("e2e-human-eval", data=data, trainer=trainer))
    seen = resources.wait(run, "the dataset", lambda now: condition(now, "DatasetReady").get("status") == "True")
    report = DatasetReport.model_validate_json(store.get_bytes(f"{seen['status']['dataset']}/report.json"))
    assert (report.problems, report.verified, report.dropped) == (164, 164, {})
    assert "164" in condition(seen, "DatasetReady")["message"]


def test_canonical_solutions_score_164_and_broken_ones_fail_alone(
    cluster: Cluster, resources: Resources, store: ObjectStore
) -> None:
    """Two Evaluations of endpoints outside the cluster, side by side; one in ten answers of the second is broken."""
    store.upload_file(HUMAN_EVAL, URI)
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"OPENAI_API_KEY": KEY},
    }  # fmt: skip
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(secret))
    right, broken = Endpoint(), Endpoint()
    broken.broken = frozenset(list(broken.rows)[::10])
    with ExitStack() as servers:
        for endpoint in (right, broken):
            servers.enter_context(serving(endpoint, cluster.layout.host_address))
        applied = [
            resources.apply(of_endpoint(name, endpoint)) for name, endpoint in (("right", right), ("broken", broken))
        ]
        seen = [resources.wait(one, "Succeeded", phase("Succeeded"), 300) for one in applied]
    assert [len(endpoint.asked) for endpoint in (right, broken)] == [164, 164]
    assert [failed(store, one) for one in seen] == [set(), broken.broken]
    assert seen[0]["status"]["passAt1"] == 1
    report = report_of(store, seen[1])
    assert report.benchmarks[0].final.pass_at_1 == pytest.approx(1 - len(broken.broken) / 164)
    assert "gvisor" in report.grader.isolation


def of_endpoint(name: str, endpoint: Endpoint) -> Document:
    """An Evaluation that asks an endpoint for HumanEval."""
    return endpoint_evaluation(
        f"e2e-human-eval-{name}",
        {"url": endpoint.url, "name": MODEL, "secretName": SECRET},
        benchmarks=[{"name": "humaneval", "kind": "humaneval-plus", "uri": URI}],
        sampling={"maxTokens": 8192},
    )


def failed(store: ObjectStore, resource: Document) -> set[str]:
    """The problems whose answer was not accepted, of 164 that were answered."""
    rows = samples_of(store, resource, ["problem", "verdict"])
    assert len(rows) == 164
    return {row["problem"] for row in rows if row["verdict"] != "accepted"}
