"""An OpenAI-compatible server that answers HumanEval's prompts with its canonical solutions."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HUMAN_EVAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "HumanEval.jsonl.gz"
KEY = "the-key"
MODEL = "some/model"


class Endpoint:
    """Answers each of HumanEval's prompts with its canonical solution, or with nothing of use where it is `broken`."""

    def __init__(self) -> None:
        rows = [json.loads(line) for line in gzip.decompress(HUMAN_EVAL.read_bytes()).splitlines()]
        self.rows = {row["task_id"]: row for row in rows}
        self.broken: frozenset[str] = frozenset()
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.url = ""

    def text_for(self, body: dict[str, Any]) -> str:
        """The answer to a request."""
        prompt = body["messages"][-1]["content"]
        (row,) = [row for row in self.rows.values() if row["prompt"].rstrip() in prompt]
        solution = "    return 'broken'\n" if row["task_id"] in self.broken else row["canonical_solution"]
        return f"<think>\nhm\n</think>\n```python\n{row['prompt']}{solution}\n```"

    def reply(self, body: dict[str, Any]) -> str:
        """The same as a stream of events."""
        self.asked.append(body)
        text = self.text_for(body)
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": len(text)}}
        return f"data: {json.dumps({'choices': [choice]})}\n\ndata: {json.dumps(usage)}\n\ndata: [DONE]\n\n"


@contextmanager
def serving(endpoint: Endpoint, host: str = "127.0.0.1") -> Iterator[None]:
    """Serve it at an address of this machine, for requests that bring KEY."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, json.dumps({"data": [{"id": MODEL}]}), "application/json")

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

    server = ThreadingHTTPServer((host, 0), Handler)
    endpoint.url = f"http://{host}:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
