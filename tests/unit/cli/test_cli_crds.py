"""`deepcoder crds`: written, printed, and held against what is there."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from deepcoder_cli.main import app

COMMITTED = Path(__file__).resolve().parents[3] / "crds"


def crds(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["crds", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_written_files_are_those_of_the_repository(tmp_path: Path) -> None:
    """crds/ is generated, never edited."""
    code, _, _ = crds("--output", str(tmp_path / "new"))
    assert code == 0
    written = {file.name: file.read_text() for file in (tmp_path / "new").iterdir()}
    assert written == {file.name: file.read_text() for file in COMMITTED.glob("*.yaml")}


def test_without_a_folder_they_are_printed() -> None:
    """One stream that kubectl reads."""
    code, out, _ = crds()
    assert code == 0
    assert [document["spec"]["names"]["kind"] for document in yaml.safe_load_all(out)] == ["TrainingRun", "Evaluation"]


def test_check_names_what_is_not_fresh(tmp_path: Path) -> None:
    """Exit code 1 for a file that differs or is missing, and nothing is written."""
    crds("--output", str(tmp_path))
    assert crds("--output", str(tmp_path), "--check")[0] == 0
    (tmp_path / "evaluations.yaml").write_text("edited by hand\n")
    (tmp_path / "trainingruns.yaml").unlink()
    code, _, err = crds("--output", str(tmp_path), "--check")
    assert code == 1
    assert "not fresh: trainingruns.yaml, evaluations.yaml" in err
    assert [file.name for file in tmp_path.iterdir()] == ["evaluations.yaml"]
