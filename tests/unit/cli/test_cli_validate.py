"""`deepcoder validate`: every refusal in words, the exit codes, folders, streams of documents."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deepcoder_cli.main import app
from tests.refused_documents import REFUSALS, Refusal
from tests.resource_documents import Document, evaluation, training_run

CONFIG_MAP: Document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}


def validate(*paths: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, unwrapped."""
    result = CliRunner().invoke(app, ["validate", *map(str, paths)], env={"COLUMNS": "1000", "TERM": "dumb"})
    return result.exit_code, result.stdout, result.stderr


def write(file: Path, *documents: Document) -> Path:
    """A YAML stream."""
    file.write_text(yaml.safe_dump_all(documents))
    return file


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_refused_document_is_named_with_file_and_words(refusal: Refusal, tmp_path: Path) -> None:
    """Exit code 1; standard error names the file, the resource, the field and what is allowed."""
    code, out, err = validate(write(tmp_path / "wrong.yaml", refusal.document))
    assert (code, out) == (1, "")
    name = refusal.document["metadata"]["name"]
    assert f"{tmp_path / 'wrong.yaml'} {refusal.document['kind']}/{name}: {refusal.validate}" in err


def test_an_algorithm_whose_values_do_not_fit_is_refused(tmp_path: Path) -> None:
    """Against what the preset has, not only against what is written: field, value, reason and what is allowed."""
    algorithm = {"preset": "rllm-release", "clip": {"high": 0.3}}
    code, out, err = validate(write(tmp_path / "wrong.yaml", training_run("unclipped", algorithm=algorithm)))
    assert (code, out) == (1, "")
    assert "TrainingRun/unclipped: spec.algorithm.clip: 0.3 has no effect, because policyLoss is unclipped; " in err
    assert "leave it out, or use policyLoss clipped or cispo" in err


def test_valid_documents_are_listed(tmp_path: Path) -> None:
    """Exit code 0; each resource of ours is named, what belongs to others is passed over."""
    file = write(tmp_path / "both.yaml", training_run("one"), CONFIG_MAP, evaluation("two"))
    code, out, err = validate(file)
    assert (code, err) == (0, "")
    assert out.split() == ["✓", "TrainingRun/one", "✓", "Evaluation/two"]


def test_every_fault_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    """One wrong document hides neither the others' faults nor that another is right."""
    write(tmp_path / "a.yaml", training_run("stages", stages=[]), training_run("model", model={"url": "s3://b/m"}))
    write(tmp_path / "b.yml", evaluation("fine"))
    (tmp_path / "notes.txt").write_text("not YAML: [")
    code, out, err = validate(tmp_path)
    assert code == 1
    assert "TrainingRun/stages: spec.stages" in err
    assert "TrainingRun/model: spec.model.url: unknown field" in err
    assert "Evaluation/fine" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("spec: [", "not readable as YAML"),
        ("- a\n- b\n", "must be a mapping with apiVersion, kind, metadata and spec"),
        ("apiVersion: deepcoder.dev/v1alpha1\nkind: TrainingJob\n", 'kind: "TrainingJob": must be one of'),
        ("apiVersion: deepcoder.dev/v9\nkind: Evaluation\nmetadata: {name: x}\n", "apiVersion"),
        (yaml.safe_dump(CONFIG_MAP), "no TrainingRun or Evaluation found"),
        ("", "no TrainingRun or Evaluation found"),
    ],
)
def test_files_that_hold_nothing_of_ours(content: str, said: str, tmp_path: Path) -> None:
    """Exit code 1 and why."""
    file = tmp_path / "file.yaml"
    file.write_text(content)
    code, _, err = validate(file)
    assert code == 1
    assert said in err


def test_missing_file(tmp_path: Path) -> None:
    """Exit code 2: nothing was checked."""
    code, out, err = validate(tmp_path / "nowhere.yaml")
    assert (code, out) == (2, "")
    assert "nowhere.yaml: no such file or folder" in err
