"""One run of the ablation by `deepcoder run`, and what it left in the store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.ablation.results import Result, result_of
from benchmarks.ablation.variants import BASE_URI, Document, Variant, documents
from benchmarks.trainer.place import Place
from deepcoder_api.artifacts import RunReport
from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_cli.local.session import run_paths
from deepcoder_data.folders import commit_folder, read_completion

_REPORT = re.compile(r"report at (s3://\S+)")


class RunFailedError(Exception):
    """`deepcoder run` ended badly; the message ends with what it said last."""


@dataclass(frozen=True)
class Ablation:
    """Where the runs happen; `say` gets each line that they say."""

    place: Place
    say: Callable[[str], None]

    def upload_base(self, seed: int) -> None:
        """The quickstart's base model of this seed and its problems, where its files look for them."""
        uri, store, folder = BASE_URI.format(seed=seed), self.place.s3.store(), self.place.base(seed)
        if read_completion(store, f"{uri}/model") is None:
            for name in ("training.jsonl", "held-out.jsonl"):
                store.upload_file(folder / name, f"{uri}/{name}")
            commit_folder(store, folder / "model", f"{uri}/model")

    def run(self, variant: Variant, seed: int, steps: int) -> Result:
        """Train, then measure. Raises RunFailedError."""
        run, evaluation = documents(variant, seed, steps)
        begun = time.monotonic()
        state = self.place.folder / f"{variant.name}-{seed}"
        said = self._deepcoder_run(run, evaluation, state)
        store, found = self.place.s3.store(), [match[1] for line in said if (match := _REPORT.search(line))]
        if not found:
            raise RunFailedError(f"{variant.name}, seed {seed}: no evaluation's report was named:\n{said[-1:]}")
        paths = run_paths(state, run["spec"]["storage"]["uri"], run["metadata"]["name"])
        report = RunReport.model_validate_json(store.get_bytes(paths.report))
        measured = EvaluationReport.model_validate_json(store.get_bytes(found[-1]))
        seconds = time.monotonic() - begun
        return result_of(variant.name, seed, specification(run, evaluation), report, measured, seconds)

    def _deepcoder_run(self, run: Document, evaluation: Document, state: Path) -> list[str]:
        manifests = state / "files"
        manifests.mkdir(parents=True)
        (manifests / "documents.yaml").write_text(yaml.safe_dump_all([run, evaluation]))
        command = [str(Path(sys.executable).parent / "deepcoder"), "run", str(manifests), "--state", str(state)]
        said: list[str] = []
        with subprocess.Popen(
            [*command, "--endpoint", self.place.s3.endpoint],
            env={**os.environ, **self.place.s3.environment, "COLUMNS": "200"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    said.append(line.rstrip())
                    self.say(said[-1])
            finally:
                process.terminate()
        if process.returncode != 0:
            tail = "\n".join(said[-20:])
            raise RunFailedError(f"exit code {process.returncode} of {' '.join(command)}:\n{tail}")
        return said


def specification(run: Document, evaluation: Document) -> str:
    """The documents as one line: what is equal is the same run."""
    return json.dumps([run, evaluation], sort_keys=True)
