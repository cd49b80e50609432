"""How the operator starts, refuses to start, and tells of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane import ROOT, ControlPlane
from tests.integration.operator.cluster_hand import Hand, hand_in
from tests.integration.operator.operator_process import OperatorProcess, operator_environment
from tests.operator_builders import run_spec

DEFINITION = "evaluations.deepcoder.dev"


def _start(environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "deepcoder_operator"], env=environment, capture_output=True, text=True, timeout=60
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "cannot start"
    return done.returncode, last["error"]


@pytest.fixture
def old_definition(control_plane: ControlPlane) -> Iterator[None]:
    """The installed CRD of Evaluations lacks a field, as that of an older release would."""
    definition: dict[str, Any] = json.loads(control_plane.kubectl("get", "crd", DEFINITION, "-o", "json"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["engine"]["properties"]["extraArgs"]
    control_plane.kubectl("replace", "-f", "-", text=json.dumps(definition))
    yield
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))


@pytest.mark.usefixtures("old_definition")
def test_it_refuses_to_start_on_definitions_that_are_older_than_it_needs(operator_account: Path) -> None:
    """One sentence says what is lacking and what to do, and the exit code says that a retry is no use."""
    code, said = _start(operator_environment(operator_account))
    assert code == 64
    assert f"{DEFINITION} is older than this operator needs: it lacks spec.engine.extraArgs" in said
    assert "kubectl apply --server-side -f crds/" in said


def test_it_refuses_to_start_without_an_image(operator_account: Path) -> None:
    """A setting that is missing is named."""
    environment = operator_environment(operator_account)
    del environment["DEEPCODER_IMAGE_ROLLOUT"]
    code, said = _start(environment)
    assert (code, said) == (64, "DEEPCODER_IMAGE_ROLLOUT is not set: it must name the image of the rollout pods")


def test_it_refuses_to_start_without_a_cluster(tmp_path: Path) -> None:
    """Neither in a pod nor with a kubeconfig: there is nothing to work on."""
    code, said = _start(operator_environment(tmp_path / "absent.conf"))
    assert code == 64
    assert said.startswith("no cluster to work on: ")


def test_it_can_be_kept_to_one_namespace(
    control_plane: ControlPlane, operator: OperatorProcess, narrow_account: Path, namespace: str, tmp_path: Path
) -> None:
    """With rights in that namespace alone it works there, and leaves the others to somebody else."""
    operator.stop()
    here, elsewhere = hand_in(control_plane.kubeconfig, namespace), hand_in(control_plane.kubeconfig, "default")
    narrow = OperatorProcess(narrow_account, tmp_path / "narrow.log", namespaces=namespace)
    try:
        elsewhere.create("TrainingRun", namespace, spec=run_spec())
        narrow.start()
        here.create("TrainingRun", "tiny", spec=run_spec())
        here.end_pod("tiny", "preflight", "permanent", reason="BucketNotFound", cause="no such bucket")
        here.phase("TrainingRun", "tiny", "Failed")
        assert elsewhere.status("TrainingRun", namespace) == {}
    finally:
        narrow.stop()
        elsewhere.delete("TrainingRun", namespace)
        operator.start()


def test_metrics_tell_of_looks_errors_and_phases(hand: Hand, operator: OperatorProcess) -> None:
    """Prometheus finds the operator's own figures by their names."""
    hand.create("TrainingRun", "tiny", spec=run_spec(algorithm={"optimizerStepsPerStep": 3}))
    hand.phase("TrainingRun", "tiny", "Failed")
    metrics = operator.metrics()
    assert 'deepcoder_operator_resources{kind="TrainingRun",phase="Failed"}' in metrics
    assert 'deepcoder_operator_reconcile_seconds_count{kind="TrainingRun"}' in metrics
    assert "deepcoder_operator_queue_depth " in metrics
