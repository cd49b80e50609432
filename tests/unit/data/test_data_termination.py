"""How a process of ours ends."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from deepcoder_api.evaluation_status import BenchmarkScore, LengthPass
from deepcoder_api.lifecycle import TerminationMessage, parse_termination_message
from deepcoder_data.termination import LIMIT_BYTES, PermanentError, RetryableError, run_process, write_message


@pytest.fixture
def message_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the termination message goes."""
    file = tmp_path / "termination-log"
    monkeypatch.setenv("TERMINATION_LOG", str(file))
    return file


def raising(error: Exception) -> NoReturn:
    """A main that fails."""
    raise error


@pytest.mark.parametrize(
    ("error", "code", "outcome", "reason"),
    [
        (PermanentError("DataEmpty", "spec.data: none"), 64, "permanent", "DataEmpty"),
        (RetryableError("StorageUnavailable", "no answer"), 75, "retryable", "StorageUnavailable"),
        (OSError("disk"), 75, "retryable", "OSError"),
    ],
)
def test_a_failure_becomes_a_message_and_an_exit_code(
    message_file: Path, error: Exception, code: int, outcome: str, reason: str
) -> None:
    """What is not known to be permanent may heal."""
    with pytest.raises(SystemExit) as ended:
        run_process(lambda: raising(error))

    assert ended.value.code == code
    message = parse_termination_message(message_file.read_text())
    assert message is not None
    assert (message.outcome, message.reason) == (outcome, reason)


def test_success_leaves_the_message_that_main_returned(message_file: Path) -> None:
    """Exit code 0, and what was made."""
    made = TerminationMessage(outcome="done", reason="Prepared", uri="s3://b/d", cause="164 problems kept of 164")

    with pytest.raises(SystemExit) as ended:
        run_process(lambda: made)

    assert ended.value.code == 0
    assert parse_termination_message(message_file.read_text()) == made


def test_a_long_cause_is_cut_to_what_kubernetes_keeps(message_file: Path) -> None:
    """A message that is cut by Kubernetes would be no JSON; characters of several bytes count as such."""
    write_message(TerminationMessage(outcome="permanent", reason="X", cause="π" * 2048))

    content = message_file.read_bytes()
    assert len(content) <= LIMIT_BYTES
    message = parse_termination_message(content.decode())
    assert message is not None
    assert message.cause.startswith("π" * 512)


@pytest.mark.parametrize(("benchmarks", "fits"), [(4, True), (12, False), (32, False)])
def test_of_scores_that_are_too_many_the_details_go_first(message_file: Path, benchmarks: int, fits: bool) -> None:
    """Eight lengths of each benchmark do not fit what Kubernetes keeps; the scores themselves do, the first first."""
    lengths = [LengthPass(tokens=4096 * n, pass_at_1=0.123456) for n in range(1, 9)]
    scores = tuple(
        BenchmarkScore(name=f"benchmark-{n}", problems=279, pass_at_1=1 / 3, lengths=lengths) for n in range(benchmarks)
    )
    write_message(TerminationMessage(outcome="done", uri="s3://bucket/report.json", cause="x" * 99, scores=scores))

    content = message_file.read_bytes()
    assert len(content) <= LIMIT_BYTES
    message = parse_termination_message(content.decode())
    assert message is not None
    assert [score.name for score in message.scores or ()] == [score.name for score in scores]
    detailed = [bool(score.lengths) for score in message.scores or ()]
    assert detailed == sorted(detailed, reverse=True)
    assert all(detailed) is fits
    assert message.uri == "s3://bucket/report.json"
