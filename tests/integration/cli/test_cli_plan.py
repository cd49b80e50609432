"""`deepcoder plan` reads a model's config.json where the model lies, in a bucket or on the hub, and no more of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.hub_server import running_hub_server
from tests.model_configs import QWEN2_5_14B
from tests.resource_documents import training_run
from tests.s3_server import S3Server

CONFIG = json.dumps(QWEN2_5_14B).encode()


def plan(file: Path, model: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, on GPUs with room enough."""
    file.write_text(yaml.safe_dump(training_run(model={"uri": model})))
    command = [str(Path(sys.executable).with_name("deepcoder")), "plan", str(file), "--gpu-memory-gib", "1000"]
    return subprocess.run(
        [*command, "--output", "json", *arguments], env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_a_model_in_a_bucket(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """With the credentials of the environment; one that is not there is said."""
    s3.store().put_bytes(f"s3://{bucket}/base/config.json", CONFIG)
    there = plan(tmp_path / "run.yaml", f"s3://{bucket}/base", "--endpoint", s3.endpoint, **s3.environment)
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout)["runs"][0]["parameters"] == 14_770_033_664
    away = plan(tmp_path / "run.yaml", f"s3://{bucket}/nothing", "--endpoint", s3.endpoint, **s3.environment)
    assert away.returncode == 2
    assert f'spec.model.uri: "s3://{bucket}/nothing"' in away.stderr


def test_a_model_on_the_hub(tmp_path: Path) -> None:
    """Of its files config.json alone is fetched."""
    with running_hub_server(tmp_path / "hub") as hub:
        folder = hub.repository("models", "organisation/tiny")
        (folder / "config.json").write_bytes(CONFIG)
        (folder / "model.safetensors").write_bytes(b"weights")
        done = plan(tmp_path / "run.yaml", "hf://organisation/tiny", HF_ENDPOINT=hub.endpoint)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["runs"][0]["parameters"] == 14_770_033_664
        assert hub.fetched == ["config.json"]
