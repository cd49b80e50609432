"""`deepcoder evaluate` and `deepcoder report`: HumanEval from an endpoint to a report, every program really run."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deepcoder_sandbox.local import find_runsc

COMMAND = str(Path(sys.executable).parent / "deepcoder")
HUMAN_EVAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "HumanEval.jsonl.gz"
KEY = "the-key"


class Endpoint:
    """Answers each of HumanEval's prompts with its canonical solution, or with nothing of use where it is `broken`."""

    def __init__(self) -> None:
        rows = [json.loads(line) for line in gzip.decompress(HUMAN_EVAL.read_bytes()).splitlines()]
        self.rows = {row["task_id"]: row for row in rows}
        self.broken: frozenset[str] = frozenset()
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.url = ""

    def reply(self, body: dict[str, Any]) -> str:
        self.asked.append(body)
        prompt = body["messages"][-1]["content"]
        (row,) = [row for row in self.rows.values() if row["prompt"].rstrip() in prompt]
        solution = "    return 'broken'\n" if row["task_id"] in self.broken else row["canonical_solution"]
        text = f"<think>\nhm\n</think>\n```python\n{row['prompt']}{solution}\n```"
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": len(text)}}
        return f"data: {json.dumps({'choices': [choice]})}\n\ndata: {json.dumps(usage)}\n\ndata: [DONE]\n\n"


@contextmanager
def serving(endpoint: Endpoint) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, json.dumps({"data": [{"id": "some/model"}]}), "application/json")

        def do_POST(self) -> None:
            endpoint.keys.add(self.headers["authorization"])
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._send(200, endpoint.reply(body), "text/event-stream")

        def _send(self, status: int, text: str, kind: str) -> None:
            if self.headers["authorization"] != f"Bearer {KEY}":
                status, text = 401, "no key"
            content = text.encode()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def deepcoder(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "OPENAI_API_KEY": KEY, **variables}
    return subprocess.run(
        [COMMAND, *options], capture_output=True, text=True, timeout=280, env=environment, check=False
    )


def evaluate(endpoint: Endpoint, output: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return deepcoder(
        "evaluate", "--url", f"{endpoint.url}/v1", "--model", "some/model", "--output", str(output),
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
