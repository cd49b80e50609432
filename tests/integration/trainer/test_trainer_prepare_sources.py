"""The prepare Job over rows of every data set, in their own layouts: their solutions pass in the real sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.artifacts import DatasetReport
from deepcoder_data.dataset import load_problems, read_report
from deepcoder_data.store import ObjectStore
from deepcoder_data.termination import PermanentError
from deepcoder_sandbox.local import LocalSandbox, start_local_sandbox
from deepcoder_trainer.prepare import prepare
from tests.dataset_rows import (
    deepcoder_row,
    json_rows,
    livecodebench_function_row,
    livecodebench_row,
    mbpp_row,
    sanitized_mbpp_row,
    synthetic_1_row,
    taco_function_row,
    taco_row,
    write_parquet,
)
from tests.model_folders import write_model_folder
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    """A grading server of two slots."""
    with start_local_sandbox(workers=2) as running:
        yield running


class Preparation:
    """A bucket, a model whose tokenizer has one token a byte, and a folder of sources."""

    def __init__(self, s3: S3Server, bucket: str, folder: Path) -> None:
        self.store: ObjectStore = s3.store()
        self.folder = folder
        self._storage = {"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint}
        self._model = write_model_folder(folder / "model")
        self._calls = 0

    def prepare(self, sandbox: str, *sources: dict[str, Any], **data: Any) -> tuple[str, str, DatasetReport]:
        """Prepare the sources: the reason, the dataset and its report."""
        self._calls += 1
        work = self.folder / f"work-{self._calls}"
        work.mkdir()
        run = resolved_run(
            model={"uri": self._model.as_uri()},
            data={"sources": list(sources), "maxPromptTokens": 4096, **data},
            stages=[{"name": "only", "maxResponseTokens": 16, "steps": 1}],
            trainer={"gpusPerReplica": 0, "precision": "fp32", "tokensPerMicrobatch": 8192},
            storage=self._storage,
        )
        message = prepare(run, self.store, sandbox, work)
        assert message.uri is not None
        report = read_report(self.store, message.uri)
        assert report is not None
        return message.reason, message.uri, report


@pytest.fixture
def preparation(s3: S3Server, bucket: str, tmp_path: Path) -> Preparation:
    """Nothing prepared yet."""
    return Preparation(s3, bucket, tmp_path)


def test_published_solutions_of_every_data_set_are_accepted(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """Programs, functions, methods and assertions: a test that was read wrong would drop its problem."""
    method = "class Solution:\n    def f(self, items: List[int]) -> int:\n        return max(items)"
    calls = {"test_cases": [{"type": "function_call", "fn_name": "f", "input": [[1, 3]], "output": 3}]}
    folder = preparation.folder
    write_parquet(folder / "taco" / "train-0.parquet", [taco_row(), taco_function_row()])
    write_parquet(folder / "taco" / "train-1.parquet", [taco_row(question="Wrong.", solutions='["print(0)"]')])
    rows = [
        synthetic_1_row(),
        synthetic_1_row(problem_id="vcp_8", verification_info=str(calls), gold_standard_solution=method),
        synthetic_1_row(problem_id="vfm_1", task_type="verifiable_math"),
    ]
    write_parquet(folder / "synthetic-1.parquet", rows)
    (folder / "mbpp.jsonl").write_bytes(json_rows([mbpp_row(), sanitized_mbpp_row()]))
    (folder / "deepcoder.jsonl").write_bytes(json_rows([deepcoder_row()]))

    _, uri, report = preparation.prepare(
        sandbox.url,
        {"name": "taco", "format": "taco", "uri": (folder / "taco").as_uri()},
        {"name": "synthetic", "format": "synthetic-1", "uri": (folder / "synthetic-1.parquet").as_uri()},
        {"name": "mbpp", "format": "mbpp", "uri": (folder / "mbpp.jsonl").as_uri()},
        {"name": "deepcoder", "format": "deepcoder", "uri": (folder / "deepcoder.jsonl").as_uri()},
        verifySolutions="Required",
    )

    assert report.dropped == {"solution_wrong_answer": 1, "other_task": 1}
    assert report.kept == {"taco": 2, "synthetic": 2, "mbpp": 2, "deepcoder": 1}
    assert report.verified == report.problems == 7
    kept = load_problems(preparation.store, uri)
    assert kept["synthetic-1/vcp_8"].entry_point == "Solution.f"


def test_window_and_tests_shape_the_dataset(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """An equal request reuses it, another window or choice of tests does not; what is left out is in the report."""
    file = preparation.folder / "test.jsonl"
    late = livecodebench_row(question_id="late", contest_date="2024-08-01T00:00:00")
    file.write_bytes(json_rows([livecodebench_row(), livecodebench_function_row(), late]))
    window = {"from": "2023-05-01", "to": "2024-07-31"}
    source = {"name": "lcb", "format": "livecodebench", "uri": file.as_uri(), "window": window}

    reason, uri, report = preparation.prepare(sandbox.url, source)
    assert (reason, report.kept, report.dropped) == ("Prepared", {"lcb": 2}, {"outside_window": 1})
    assert preparation.prepare("unix:///no/sandbox", source)[:2] == ("Reused", uri)

    _, other, fewer = preparation.prepare(sandbox.url, {**source, "tests": {"maxCount": 1}})
    assert (other != uri, report.tests, fewer.tests) == (True, 4, 2)
    assert preparation.prepare(sandbox.url, {**source, "window": {"from": "2023-05-01"}})[2].kept == {"lcb": 3}


def test_another_file_of_a_folder_is_another_dataset(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """The key is of what all files hold."""
    folder = preparation.folder / "taco"
    write_parquet(folder / "a.parquet", [taco_row()])
    source = {"name": "taco", "format": "taco", "uri": folder.as_uri()}
    _, first, _ = preparation.prepare(sandbox.url, source)

    write_parquet(folder / "b.parquet", [taco_row(question="Another.", solutions=None)])

    reason, second, report = preparation.prepare(sandbox.url, source)
    assert (reason, second != first, report.problems) == ("Prepared", True, 2)


def test_a_damaged_file_is_a_permanent_fault_of_its_source(preparation: Preparation) -> None:
    """Another try cannot help. The file is named, and nothing is written."""
    folder = preparation.folder / "taco"
    write_parquet(folder / "a.parquet", [taco_row()])
    (folder / "b.parquet").write_bytes(b"PAR1 and no more")
    source = {"name": "taco", "format": "taco", "uri": folder.as_uri()}

    with pytest.raises(PermanentError) as caught:
        preparation.prepare("unix:///no/sandbox", source, verifySolutions="Never")

    assert caught.value.reason == "Damaged"
    said = f'spec.data.sources[taco].uri: "{folder.as_uri()}": b.parquet: the Parquet file is damaged after row 0: '
    assert str(caught.value).startswith(said)
