"""`deepcoder run` before it starts anything: what it refuses, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deepcoder_cli.main import app
from tests.resource_documents import Document, evaluation, training_run


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([], "no TrainingRun or Evaluation found"),
        ([training_run(stages=[])], "TrainingRun/tiny: spec.stages: []: must have at least 1 items"),
        ([training_run(model={"uri": "pvc://claim/model"})], "TrainingRun/tiny: spec.model.uri"),
        ([evaluation(model={"trainingRun": {"name": "tiny"}})], "Evaluation/before: spec.model.trainingRun.name"),
        (
            [training_run(storage={"uri": "s3://bucket/prefix", "secretName": "s3-credentials"})],
            "the variable AWS_ACCESS_KEY_ID stands in for the Secret here, and is not set",
        ),
    ],
)
def test_refused_before_anything_starts(documents: list[Document], said: str, tmp_path: Path) -> None:
    """Exit code 2, the reason, and no trace of a start."""
    (tmp_path / "given.yaml").write_text(yaml.safe_dump_all(documents))
    state = tmp_path / "state"
    result = CliRunner().invoke(
        app,
        ["run", str(tmp_path / "given.yaml"), "--state", str(state)],
        env={"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "COLUMNS": "1000"},
    )
    assert result.exit_code == 2
    assert said in result.stdout
    assert not state.exists()


def test_missing_file(tmp_path: Path) -> None:
    """Exit code 2 and its name."""
    result = CliRunner().invoke(app, ["run", str(tmp_path / "nowhere.yaml")])
    assert result.exit_code == 2
    assert "nowhere.yaml: no such file or folder" in result.stdout
