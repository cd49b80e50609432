"""`deepcoder plan`: tables and JSON, the exit codes, what is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deepcoder_cli.main import app
from tests.model_configs import QWEN2_5_14B
from tests.resource_documents import evaluation, training_run

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "deepcoder-14b" / "trainingrun.yaml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """config.json of a 14B model in a folder of its own."""
    file = tmp_path / "model" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(QWEN2_5_14B))
    return file


def plan(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, unwrapped."""
    result = CliRunner().invoke(app, ["plan", *map(str, arguments)], env={"COLUMNS": "1000", "TERM": "dumb"})
    return result.exit_code, result.stdout, result.stderr


def test_the_14b_example_plans(config: Path) -> None:
    """Exit code 0; parameters, GPUs, steps and the two memories are told."""
    code, out, err = plan(EXAMPLE, "--model-config", config)
    assert (code, err) == (0, "")
    assert "14.77 billion parameters, 32 GPUs, 250 steps, at most 5.89 billion tokens" in out
    assert "GPU memory of a trainer rank, of 80 GiB" in out
    assert "sequences of 34,816 tokens; 12 servers" in out


def test_what_a_trainer_pod_keeps_in_the_node_is_told(config: Path, tmp_path: Path) -> None:
    """Of the example as it is, published weights; with the optimizer offloaded, that too."""
    _, out, _ = plan(EXAMPLE, "--model-config", config)
    assert "memory of a trainer pod, beside its processes" in out
    assert "published weights" in out
    assert "offloaded" not in out
    document = yaml.safe_load(EXAMPLE.read_text())
    document["spec"]["trainer"]["deepspeed"] = {"zeroStage": 2, "offload": "optimizer"}
    (file := tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    code, out, err = plan(file, "--model-config", config)
    assert (code, err) == (0, "")
    lines = {line.split("  ")[0].strip(): line.split() for line in out.splitlines()}
    assert lines["offloaded"][1] == "247.60"
    assert lines["published weights"][2] == "55.02"
    assert lines["together"][1] == "302.62"


def test_too_little_memory_is_refused(config: Path) -> None:
    """Exit code 1; standard error names the run, the field, the value and what is needed."""
    code, _, err = plan(EXAMPLE, "--model-config", config, "--gpu-memory-gib", 40)
    assert code == 1
    assert "TrainingRun/deepcoder-14b: spec.trainer.replicas: 1: a rank needs" in err
    assert "of 40.0 GiB" in err


def test_json_is_the_whole_plan(config: Path) -> None:
    """With the refusals, for programs; the exit code is the same."""
    code, out, _ = plan(EXAMPLE, "--model-config", config, "--gpu-memory-gib", 40, "--output", "json")
    (run,) = json.loads(out)["runs"]
    assert code == 1
    assert (run["parameters"], run["gpus"], run["gpu_memory"]) == (14_770_033_664, 32, 40 * 2**30)
    assert [refusal["field"] for refusal in run["refusals"]] == ["spec.trainer.replicas"]


def test_the_models_own_config_is_read(config: Path, tmp_path: Path) -> None:
    """From spec.model.uri, when no file is given."""
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump_all([training_run(model={"uri": config.parent.as_uri()}), evaluation()]))
    code, out, _ = plan(file, "--gpu-memory-gib", 1000)
    assert code == 0
    assert "14.77 billion parameters" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"model_type": "gpt2"}', "model_type: 'gpt2' is not planned for"),
        ("[", "config.json is not JSON"),
        ("[]", "config.json is not a JSON object"),
    ],
)
def test_a_model_that_cannot_be_planned_with(content: str, said: str, tmp_path: Path) -> None:
    """Exit code 2; the option, the file and why."""
    file = tmp_path / "config.json"
    file.write_text(content)
    code, out, err = plan(EXAMPLE, "--model-config", file)
    assert (code, out) == (2, "")
    assert f'--model-config: "{file}": {said}' in err


def test_a_model_that_is_not_there_or_a_clusters(tmp_path: Path) -> None:
    """Exit code 2; the field, the value, why, and what to do."""
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(training_run(model={"uri": "pvc://claim/model"})))
    assert 'spec.model.uri: "pvc://claim/model": a claim is a cluster\'s' in plan(file)[2]
    file.write_text(yaml.safe_dump(training_run(model={"uri": "file:///nowhere"})))
    code, _, err = plan(file)
    assert code == 2
    assert "there is no such file; --model-config FILE takes a config.json from here" in err


def test_files_without_a_run_or_with_faults(tmp_path: Path) -> None:
    """Exit code 2; nothing is planned where anything is wrong."""
    file = tmp_path / "file.yaml"
    file.write_text(yaml.safe_dump(evaluation()))
    assert plan(file)[::2] == (2, "no TrainingRun found (apiVersion deepcoder.dev/v1alpha1)\n")
    file.write_text(yaml.safe_dump_all([training_run(), training_run("wrong", stages=[])]))
    code, out, err = plan(file)
    assert (code, out) == (2, "")
    assert "TrainingRun/wrong: spec.stages" in err
    assert plan(tmp_path / "nowhere.yaml")[0] == 2
