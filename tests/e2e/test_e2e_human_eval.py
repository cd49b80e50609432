"""HumanEval through the prepare Job on the cluster: every canonical solution is run in gVisor, and accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_api.artifacts import DatasetReport
from deepcoder_data.store import ObjectStore
from tests.e2e.resources import Resources, condition, training_run

pytestmark = [pytest.mark.cluster, pytest.mark.shared_data, pytest.mark.timeout(900)]

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"
URI = "s3://deepcoder/e2e/HumanEval.jsonl.gz"


@pytest.mark.skipif(not FILE.exists(), reason="../shared/data is not beside this clone")
def test_all_164_problems_are_verified(resources: Resources, store: ObjectStore) -> None:
    """The dataset's report counts 164 read, kept and verified, and nothing dropped."""
    store.upload_file(FILE, URI)
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
