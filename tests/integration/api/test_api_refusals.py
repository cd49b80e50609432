"""What the real API server and `deepcoder validate` refuse, in the words that a user reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control_plane import ControlPlane
from tests.refused_documents import REFUSALS, UNKNOWN, Refusal
from tests.resource_documents import evaluation, training_run

REFUSED = pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)


def refused_words(plane: ControlPlane, refusal: Refusal, *command: str) -> str:
    """What kubectl prints when it is refused; it must be."""
    done = plane.try_kubectl(*command, "--dry-run=server", "-f", "-", text=json.dumps(refusal.document))
    assert done.returncode != 0, f"accepted: {done.stdout}"
    return done.stderr


@REFUSED
def test_create_is_refused(control_plane: ControlPlane, refusal: Refusal) -> None:
    """kubectl create: the field, the value and what is allowed."""
    assert refusal.create in refused_words(control_plane, refusal, "create")


@REFUSED
def test_server_side_apply_is_refused(control_plane: ControlPlane, refusal: Refusal) -> None:
    """kubectl apply --server-side, as GitOps tools do it."""
    assert refusal.server_side_apply in refused_words(control_plane, refusal, "apply", "--server-side")


@pytest.mark.parametrize("refusal", UNKNOWN, ids=lambda refusal: refusal.id)
def test_plain_apply_is_strict(control_plane: ControlPlane, refusal: Refusal) -> None:
    """kubectl apply refuses an unknown field instead of dropping it."""
    assert refusal.create in refused_words(control_plane, refusal, "apply")


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One `deepcoder validate` of a folder with every refused document and two good ones."""
    folder = tmp_path_factory.mktemp("manifests")
    for refusal in REFUSALS:
        (folder / f"{refusal.id}.yaml").write_text(json.dumps(refusal.document))
    for document in (training_run("good-run"), evaluation("good-evaluation")):
        (folder / f"{document['metadata']['name']}.yaml").write_text(json.dumps(document))
    command = [str(Path(sys.executable).parent / "deepcoder"), "validate", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@REFUSED
def test_validate_refuses(validated: subprocess.CompletedProcess[str], refusal: Refusal) -> None:
    """deepcoder validate: file, resource, field, value and what is allowed."""
    told = [line for line in validated.stderr.splitlines() if f"/{refusal.id}.yaml " in line]
    assert any(refusal.validate in line for line in told), told


def test_validate_fails_as_a_whole(validated: subprocess.CompletedProcess[str]) -> None:
    """The exit code says that something is wrong, and the good documents are named as such."""
    assert validated.returncode == 1
    assert validated.stdout.split() == ["✓", "Evaluation/good-evaluation", "✓", "TrainingRun/good-run"]
