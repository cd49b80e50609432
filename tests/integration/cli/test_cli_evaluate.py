"""`deepcoder evaluate` and `deepcoder report`: HumanEval from an endpoint to a report, every program really run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepcoder_sandbox.local import find_runsc
from tests.human_eval_endpoint import HUMAN_EVAL, KEY, Endpoint, serving

COMMAND = str(Path(sys.executable).parent / "deepcoder")


def deepcoder(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "OPENAI_API_KEY": KEY, **variables}
    return subprocess.run(
        [COMMAND, *options], capture_output=True, text=True, timeout=280, env=environment, check=False
    )


def evaluate(endpoint: Endpoint, output: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return deepcoder(
        "evaluate", "--url", f"{endpoint.url}", "--model", "some/model", "--output", str(output),
        "--benchmark", f"humaneval-plus={HUMAN_EVAL.as_uri()}", "--timeout", "30", **variables,
    )  # fmt: skip


@pytest.mark.shared_data
def test_human_eval_from_an_endpoint_to_a_comparison(tmp_path: Path) -> None:
    """Canonical solutions score 164 of 164; with one in ten broken just those fail, and the comparison names them."""
    if not HUMAN_EVAL.exists():
        pytest.skip("the shared data folder is not beside the clone")
    if find_runsc() is None or os.geteuid() != 0:
        pytest.skip("runsc is neither in build/bin nor in PATH, or we are not root")
    endpoint = Endpoint()
    with serving(endpoint):
        done = evaluate(endpoint, tmp_path / "right")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((tmp_path / "right" / "report.json").read_text())
        (benchmark,) = report["benchmarks"]
        assert benchmark["scores"][0]["verdicts"] == {"accepted": 164}
        assert "gVisor" in report["grader"]["isolation"] or "Linux" in report["grader"]["isolation"]
        first = endpoint.asked[0]
        assert [message["role"] for message in first["messages"]] == ["user"]
        assert (first["temperature"], first["top_p"], first["max_tokens"]) == (0.6, 0.95, 64000)
        asked = len(endpoint.asked)

        again = evaluate(endpoint, tmp_path / "right")
        assert again.returncode == 0, again.stdout + again.stderr
        assert len(endpoint.asked) == asked == 164

        endpoint.broken = frozenset(list(endpoint.rows)[::10])
        done = evaluate(endpoint, tmp_path / "broken")
        assert done.returncode == 0, done.stdout + done.stderr
    shown = deepcoder("report", str(tmp_path / "right"), str(tmp_path / "broken"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"by the first alone ({len(endpoint.broken)}): {', '.join(sorted(endpoint.broken))}" in shown.stdout
    assert "solved by the second alone (0): none" in shown.stdout
    assert "more than noise" in shown.stdout
    assert endpoint.keys == {f"Bearer {KEY}"}
    card = deepcoder("report", "--markdown", str(tmp_path / "right"))
    assert "| humaneval-plus | 164 | 64,000 | 100.0 (100.0 to 100.0)" in card.stdout


def test_an_address_is_looked_at_before_anything_starts(tmp_path: Path) -> None:
    """A key that is refused, named at once; no folder is made."""
    if not HUMAN_EVAL.exists():
        pytest.skip("the shared data folder is not beside the clone")
    endpoint = Endpoint()
    with serving(endpoint):
        done = evaluate(endpoint, tmp_path / "none", OPENAI_API_KEY="wrong")
    assert done.returncode == 1
    assert "refuses the key with 401" in done.stdout
    assert not (tmp_path / "none").exists()
