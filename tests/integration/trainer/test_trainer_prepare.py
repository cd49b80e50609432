"""The prepare Job with a real bucket, a real tokenizer and a real sandbox: under gVisor where runsc is there."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.artifacts import DatasetReport
from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.dataset import VALIDATION, load_problems, read_report
from deepcoder_data.store import ObjectStore
from deepcoder_data.termination import PermanentError, RetryableError
from deepcoder_sandbox.local import LocalSandbox, start_local_sandbox
from deepcoder_trainer.preparation import verification
from deepcoder_trainer.prepare import prepare
from tests.model_folders import write_model_folder
from tests.problem_builders import json_lines, problem
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server
from tests.worker_process import run_worker

HUMAN_EVAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "HumanEval.jsonl.gz"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    """A grading server of two slots."""
    with start_local_sandbox(workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder whose tokenizer has one token a byte."""
    return write_model_folder(tmp_path_factory.mktemp("model"))


class Preparation:
    """A bucket with a file of problems, and the run that prepares them."""

    def __init__(self, s3: S3Server, folder: str, model: Path, tmp_path: Path) -> None:
        self.store: ObjectStore = s3.store()
        self.folder = folder
        self._s3, self._model, self._tmp_path = s3, model, tmp_path
        self._calls = 0

    def run(
        self, uri: str | None = None, format: str = "jsonl", validation: dict[str, Any] | None = None, **data: Any
    ) -> ResolvedRun:
        """A run over the file; `data` are of spec.data."""
        sources = [{"name": "made", "format": format, "uri": uri or f"{self.folder}/problems.jsonl"}]
        return resolved_run(
            model={"uri": self._model.as_uri()},
            data={"sources": sources, "maxPromptTokens": 512, **data},
            stages=[{"name": "only", "maxResponseTokens": 16, "steps": 1}],
            trainer={"gpusPerReplica": 0, "precision": "fp32", "tokensPerMicrobatch": 8192},
            storage={"uri": self.folder, "endpoint": self._s3.endpoint},
            validation=validation,
        )

    def put(self, content: bytes) -> None:
        """Write the file of problems."""
        self.store.put_bytes(f"{self.folder}/problems.jsonl", content)

    def put_beside(self, name: str, content: bytes) -> str:
        """Write another file; returns its URI."""
        self.store.put_bytes(f"{self.folder}/{name}", content)
        return f"{self.folder}/{name}"

    def prepare(self, sandbox: str, **data: Any) -> tuple[TerminationMessage, DatasetReport]:
        """Prepare the file, and what came of it."""
        self._calls += 1
        work = self._tmp_path / f"work-{self._calls}"
        work.mkdir()
        message = prepare(self.run(**data), self.store, sandbox, work)
        assert message.uri is not None
        report = read_report(self.store, message.uri)
        assert report is not None
        return message, report


@pytest.fixture
def preparation(s3: S3Server, bucket: str, model: Path, tmp_path: Path) -> Preparation:
    """An empty bucket."""
    return Preparation(s3, f"s3://{bucket}/prefix", model, tmp_path)


WRONG = "print(3 * int(input()))\n"


def test_what_is_dropped_is_counted_by_reason(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """A problem is kept with a right solution or without one; every other row is dropped for one reason."""
    one_test = [{"kind": "stdin", "input": "1\n", "output": "2\n"}]
    preparation.put(
        json_lines(
            [
                problem("right"),
                problem("no tests", tests=[]),
                problem("one test", tests=one_test),
                problem("right", prompt="again"),
                problem("long", prompt="x" * 600),
                problem("without a solution", solution=None),
                problem("wrong", solution=WRONG),
                problem("endless", solution="while True: pass"),
                problem("raises", solution="raise SystemExit(3)"),
            ]
        )
        + b"not json\n"
    )

    message, report = preparation.prepare(sandbox.url, minTests=2)

    assert report.dropped == {
        "no_tests": 1,
        "too_few_tests": 1,
        "duplicate_id": 1,
        "prompt_too_long": 1,
        "unreadable_row": 1,
        "solution_wrong_answer": 1,
        "solution_time_limit": 1,
        "solution_runtime_error": 1,
    }
    assert (report.read, report.kept, report.problems) == ({"made": 10}, {"made": 2}, 2)
    assert (report.verified, report.tests) == (1, 4)
    assert message.reason == "Prepared"
    assert message.cause.startswith("2 problems kept of 10, 1 verified; dropped: ")
    assert message.uri is not None
    kept = load_problems(preparation.store, message.uri)
    assert list(kept) == ["right", "without a solution"]
    assert kept["right"].source == "made"


STATEMENT = "Read n and then n integers on one line, add up those that are even, and print the sum modulo seven."
BENCHMARK = "Given a string, print the longest of its substrings in which no letter occurs twice, the first of them."


def test_a_dataset_is_checked_and_reported(
    preparation: Preparation, sandbox: LocalSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Repeated, contradictory, near and contaminated problems, over two sources, in report.json, page and log."""
    test = {"kind": "stdin", "input": "1\n", "output": "2\n"}
    preparation.put(
        json_lines(
            [
                problem("first", prompt=STATEMENT, solution=WRONG),
                problem("second", prompt=STATEMENT.upper()),
                problem("third", prompt=f"  {STATEMENT}"),
                problem("leaked", prompt=BENCHMARK.replace("print", "write")),
                problem("torn", prompt="Torn.", tests=[test, {**test, "output": "3\n"}]),
            ]
        )
    )
    more = json_lines(
        [
            problem("fourth", prompt=STATEMENT.replace(",", "")),
            problem("fifth", prompt="Double.", tests=[test, test, {**test, "input": "2", "output": "4"}]),
        ]
    )
    sources = [
        {"name": "made", "format": "jsonl", "uri": f"{preparation.folder}/problems.jsonl"},
        {"name": "more", "format": "jsonl", "uri": preparation.put_beside("more.jsonl", more)},
    ]
    bench = preparation.put_beside("bench.jsonl", json_lines([problem("held-out", prompt=BENCHMARK)]) + b"no row\n")
    apart = [{"name": "bench", "format": "jsonl", "uri": bench}]

    message, report = preparation.prepare(
        sandbox.url, sources=sources, decontaminate=apart, dedupe={"similarity": 0.95}
    )

    assert message.uri is not None
    assert list(load_problems(preparation.store, message.uri)) == ["second", "fifth"]
    made, other = report.sources
    assert {drop.reason: (drop.count, drop.examples[0].split(": test")[0]) for drop in made.drops} == {
        "solution_wrong_answer": (1, "first"),
        "near_duplicate": (1, "third: 1.00 near to made second"),
        "contaminated": (1, "leaked: 0.58 near to bench held-out"),
        "contradictory_tests": (1, "torn"),
    }
    assert {drop.reason: drop.examples for drop in other.drops} == {
        "near_duplicate": ("fourth: 1.00 near to made second",)
    }
    assert (made.duplicate_tests, other.duplicate_tests, report.tests) == (0, 1, 4)
    assert [(one.name, one.problems, one.unreadable) for one in report.decontamination] == [("bench", 1, 1)]
    page = preparation.store.get_bytes(f"{message.uri}/report.html").decode()
    assert "leaked: 0.58 near to bench held-out" in page
    assert ["made", "5", "1", "1", "4"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_validates_is_beside_the_dataset_and_not_in_it(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """Its problems are written as they are; what is equal to one is dropped and told; the dataset is another one."""
    held_out = problem("held-out", prompt="Print the sum of all given numbers.")
    preparation.put(json_lines([problem("a"), held_out.model_copy(update={"id": "copy"})]))
    uri = preparation.put_beside("held-out.jsonl", json_lines([held_out]))
    source = {"name": "held-out", "format": "jsonl", "uri": uri, "similarity": 1.0}

    message, report = preparation.prepare(sandbox.url, validation={"everySteps": 1, "sources": [source]})
    again, _ = preparation.prepare(sandbox.url, validation={"everySteps": 7, "sources": [source]})
    without, _ = preparation.prepare(sandbox.url)

    assert message.uri is not None
    assert list(load_problems(preparation.store, message.uri)) == ["a"]
    assert list(load_problems(preparation.store, message.uri, VALIDATION)) == ["held-out"]
    assert report.dropped == {"contaminated": 1}
    ((name, problems),) = [(one.name, one.problems) for one in report.decontamination]
    assert (name, problems) == ("validation held-out", 1)
    assert again.uri == message.uri
    assert without.uri != message.uri


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (None, "DataNotFound", ""),
        (b"[]\n", "DataEmpty", "it has no problem that can be read (line 1: "),
    ],
)
def test_a_file_to_keep_apart_from_must_be_there(
    preparation: Preparation, content: bytes | None, reason: str, said: str
) -> None:
    """It is named as a source is, and no dataset is written that was not compared."""
    preparation.put(json_lines([problem("a")]))
    uri = f"{preparation.folder}/bench.jsonl"
    if content is not None:
        preparation.put_beside("bench.jsonl", content)

    with pytest.raises(PermanentError) as caught:
        preparation.prepare("unix:///no/sandbox", decontaminate=[{"name": "bench", "format": "jsonl", "uri": uri}])

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'spec.data.decontaminate[bench].uri: "{uri}": {said}')
    assert list(preparation.store.list(f"{preparation.folder}/datasets")) == []


def test_another_benchmark_is_another_dataset(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """Its content is in the key: what was compared with an older one is not reused."""
    preparation.put(json_lines([problem("a")]))
    apart = [
        {
            "name": "bench",
            "format": "jsonl",
            "uri": preparation.put_beside("b", json_lines([problem("b", prompt="Else.")])),
        }
    ]
    first, _ = preparation.prepare(sandbox.url, decontaminate=apart)
    again, _ = preparation.prepare(sandbox.url, decontaminate=apart)
    preparation.put_beside("b", json_lines([problem("b", prompt="Otherwise.")]))

    other, _ = preparation.prepare(sandbox.url, decontaminate=apart)

    assert (again.reason, again.uri) == ("Reused", first.uri)
    assert (other.reason, other.uri != first.uri) == ("Prepared", True)


@pytest.mark.parametrize(
    ("verify", "kept", "verified"),
    [
        ("IfPresent", ["right", "none"], 1),
        ("Required", ["right"], 1),
        ("Never", ["right", "wrong", "none"], 0),
    ],
)
def test_solutions_are_run_as_the_specification_says(
    preparation: Preparation, sandbox: LocalSandbox, verify: str, kept: list[str], verified: int
) -> None:
    """IfPresent keeps what has none; Required does not; Never runs nothing."""
    preparation.put(json_lines([problem("right"), problem("wrong", solution=WRONG), problem("none", solution=None)]))

    message, report = preparation.prepare(sandbox.url, verifySolutions=verify)

    assert message.uri is not None
    assert list(load_problems(preparation.store, message.uri)) == kept
    assert report.verified == verified


def test_an_equal_dataset_is_reused_and_a_different_one_is_not(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """The second preparation runs nothing: its sandbox is not even there."""
    preparation.put(json_lines([problem("a"), problem("b")]))
    first, report = preparation.prepare(sandbox.url)

    again, same = preparation.prepare("unix:///no/sandbox")
    assert (again.reason, again.uri, same) == ("Reused", first.uri, report)
    assert again.cause == "2 problems of an equal dataset, 2 verified"

    preparation.put(json_lines([problem("a")]))
    other, _ = preparation.prepare(sandbox.url)
    assert (other.reason, other.uri != first.uri) == ("Prepared", True)


def test_the_order_is_the_files_however_long_solutions_take(preparation: Preparation, sandbox: LocalSandbox) -> None:
    """Many run at once, and the data cursor counts in one order."""
    slow = "import time; time.sleep(0.4); print(2 * int(input()))"
    ids = [f"{'slow' if index % 5 == 0 else 'fast'}-{index}" for index in range(25)]
    preparation.put(json_lines(problem(id, **({"solution": slow} if id[0] == "s" else {})) for id in ids))

    message, _ = preparation.prepare(sandbox.url)

    assert message.uri is not None
    assert list(load_problems(preparation.store, message.uri)) == ids


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n", 'spec.data.sources: "made": no problem is there: every source is empty'),
        (
            json_lines([problem("a", tests=[]), problem("b", tests=[])]),
            'spec.data.sources: "made": no problem is left of 2 read: no_tests 2 (first: made a)',
        ),
        (
            json_lines([problem("a", solution=WRONG)]),
            'spec.data.sources: "made": no problem is left of 1 read: solution_wrong_answer 1 (first: made a: test 1:',
        ),
        (b"[]\n", 'spec.data.sources: "made": no problem is left of 1 read: unreadable_row 1 (first: made line 1: '),
    ],
)
def test_a_dataset_left_empty_is_an_error_that_says_why(
    preparation: Preparation, sandbox: LocalSandbox, content: bytes, said: str
) -> None:
    """And nothing is written."""
    preparation.put(content)

    with pytest.raises(PermanentError) as caught:
        preparation.prepare(sandbox.url)

    assert caught.value.reason == "DataEmpty"
    assert str(caught.value).startswith(said)
    assert list(preparation.store.list(f"{preparation.folder}/datasets")) == []


def test_a_sandbox_that_is_not_there_may_come(preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem is never dropped because nobody could run its solution."""
    monkeypatch.setattr(verification, "GRADE_SECONDS", 0.5)
    preparation.put(json_lines([problem("a")]))

    with pytest.raises(RetryableError) as caught:
        preparation.prepare("unix:///no/sandbox")

    assert caught.value.reason == "SandboxUnavailable"
    assert list(preparation.store.list(f"{preparation.folder}/datasets")) == []


def test_a_model_without_a_chat_template_is_refused(
    preparation: Preparation, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts are written by the model's own template."""
    bare = write_model_folder(tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    monkeypatch.setattr(preparation, "_model", bare)
    preparation.put(json_lines([problem("a")]))

    with pytest.raises(PermanentError) as caught:
        preparation.prepare("unix:///no/sandbox")

    assert caught.value.reason == "NoChatTemplate"
    assert str(caught.value).startswith(f'spec.model.uri: "{bare.as_uri()}": ')


@pytest.mark.shared_data
def test_a_part_of_human_eval_is_verified_by_the_process(
    preparation: Preparation, sandbox: LocalSandbox, s3: S3Server, tmp_path: Path
) -> None:
    """The process that the Job starts: every published solution is accepted by our grader. All 164 go through the Job
    itself in tests/e2e."""
    if not HUMAN_EVAL.exists():
        pytest.skip("the shared data folder is not beside the clone")
    part = tmp_path / "part.jsonl.gz"
    part.write_bytes(gzip.compress(b"".join(gzip.decompress(HUMAN_EVAL.read_bytes()).splitlines(keepends=True)[::10])))
    run = preparation.run(uri=part.as_uri(), format="humaneval", maxPromptTokens=4096)

    ended = run_worker(
        "deepcoder_trainer.prepare", run, tmp_path / "run", "--sandbox", sandbox.url,
        environment=s3.environment, seconds=280,
    )  # fmt: skip

    assert ended.code == 0, f"{ended.message}\n{ended.log[-3000:]}"
    assert ended.message.cause == "17 problems kept of 17, 17 verified"
    assert ended.message.uri is not None
    assert len(load_problems(preparation.store, ended.message.uri)) == 17
