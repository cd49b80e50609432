"""The agent with a real vLLM: sampling with token ids and log-probabilities, and weights taken over while it serves."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from deepcoder_api.lifecycle import EXIT_RETRYABLE
from deepcoder_api.rollout import Heartbeat, HeartbeatReply, WeightOrder, WeightReceipt, shard_url
from deepcoder_sandbox.tree_usage import descendants
from deepcoder_trainer.orchestrator.generation import Answer
from tests.rollout_servers import (
    START_SECONDS,
    TOLERANCE,
    RunningAgent,
    answer_of,
    ask,
    expected_log_probabilities,
    running_agent,
    status_of,
)
from tests.shard_sources import order_of
from tests.tiny_models import write_tiny_model

STALL_SECONDS = 40.0
pytestmark = pytest.mark.timeout(START_SECONDS + 300)


@dataclass
class FakeOrchestrator:
    """The two routes an agent uses: heartbeats are collected, weight files are served."""

    port: int = 0
    files: dict[str, Path] = field(default_factory=dict)
    beats: list[Heartbeat] = field(default_factory=list)
    reply: HeartbeatReply = field(default_factory=lambda: HeartbeatReply(attempt=1, version=0, seconds_to_next=0.2))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[FakeOrchestrator]:
    state = FakeOrchestrator()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.beats.append(Heartbeat.model_validate_json(body))
            self._answer(200, state.reply.model_dump_json().encode())

        def do_GET(self) -> None:
            path = state.files.get(self.path)
            self._answer(200, path.read_bytes()) if path else self._answer(404, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()


@dataclass(frozen=True)
class Subject:
    """A running agent, its model, and a folder for others."""

    running: RunningAgent
    tied: bool
    base: Path
    folder: Path


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def agent(
    request: pytest.FixtureRequest, orchestrator: FakeOrchestrator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("rollout")
    base = write_tiny_model(folder / "base", tied=request.param, seed=0)
    orchestrator.beats.clear()
    orchestrator.reply = HeartbeatReply(attempt=1, version=0, seconds_to_next=0.2)
    with running_agent(base, orchestrator.url, folder, stall_seconds=STALL_SECONDS) as running:
        running.wait_for_status(f"{running.agent}/readyz", 200)
        yield Subject(running, request.param, base, folder)


def _answers_until(taken_over: threading.Event, agent: Subject, seed: int) -> list[Answer]:
    """Long answers, one after another; their lengths differ, so that they do not all end at once."""
    answers: list[Answer] = []
    while not taken_over.is_set():
        answers.append(answer_of(agent.running, max_tokens=220 - 31 * seed, seed=seed + 4 * len(answers)))
    return answers


def _wait_for_answers_under_way(agent: Subject, count: int) -> None:
    """Until the engine says that it works on as many: a request that was sent may be long in coming to it."""
    deadline = time.monotonic() + 60
    while _running(agent) < count:
        assert time.monotonic() < deadline, f"not {count} answers are under way"
        time.sleep(0.01)


def _running(agent: Subject) -> float:
    lines = httpx.get(f"{agent.running.generate}/metrics", timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:num_requests_running{"))


def _order(orchestrator: FakeOrchestrator, model: Path, attempt: int, version: int) -> WeightOrder:
    files = {file.name: file for file in sorted(model.glob("*.safetensors"))}
    orchestrator.files = {shard_url("", attempt, version, name): file for name, file in files.items()}
    contents = {name: file.read_bytes() for name, file in files.items()}
    return order_of(contents, orchestrator.url, attempt=attempt, version=version, deadline_seconds=60)


def _give(agent: Subject, order: WeightOrder) -> httpx.Response:
    return httpx.post(f"{agent.running.agent}/v1/weights", json=order.model_dump(mode="json"), timeout=90)


def test_a_server_registers_and_tells_what_it_holds(agent: Subject, orchestrator: FakeOrchestrator) -> None:
    """A started server heartbeats with its addresses, as ready, with the base model: attempt 0, version 0."""
    deadline = time.monotonic() + 30  # it is ready a moment before its first heartbeat has come
    while not (beats := [beat for beat in orchestrator.beats if beat.generate_url == agent.running.generate]):
        assert time.monotonic() < deadline, "no heartbeat came"
        time.sleep(0.05)
    first = beats[0]
    assert (first.attempt, first.version, first.ready) == (0, 0, True)
    assert (first.agent_url, first.shards_url) == (agent.running.agent, agent.running.shards)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probabilities_are_those_of_what_was_sampled(agent: Subject, temperature: float) -> None:
    """Token ids come back, with the log-probabilities that transformers gives for them at the same temperature."""
    answer = answer_of(agent.running, temperature)
    expected = expected_log_probabilities(agent.base, answer.token_ids, temperature)
    assert answer.log_probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert set(answer.versions) == {0}


def test_new_weights_are_those_that_sample(agent: Subject, orchestrator: FakeOrchestrator) -> None:
    """After an update every layer samples with the new weights, tied or untied, and the receipt tells the pause."""
    updated = write_tiny_model(agent.folder / "updated", tied=agent.tied, seed=1)
    response = _give(agent, _order(orchestrator, updated, attempt=1, version=3))
    assert response.status_code == 200, response.text
    receipt = WeightReceipt.model_validate_json(response.content)
    assert (receipt.attempt, receipt.version) == (1, 3)
    assert 0 < receipt.pause_seconds < 30
    answer = answer_of(agent.running)
    assert answer.log_probabilities == pytest.approx(
        expected_log_probabilities(updated, answer.token_ids, 1.0), abs=TOLERANCE
    )
    assert answer.log_probabilities != pytest.approx(
        expected_log_probabilities(agent.base, answer.token_ids, 1.0), abs=0.1
    )
    assert set(answer.versions) == {3}


def test_running_requests_go_on_over_an_update(agent: Subject, orchestrator: FakeOrchestrator) -> None:
    """Neither lost nor cut short; each token says whose it is, and has that model's log-probability for all before it.

    So what was computed of the text by the old weights is computed again: the cache does not outlive them.
    """
    older = write_tiny_model(agent.folder / "older", tied=agent.tied, seed=6)
    newer = write_tiny_model(agent.folder / "newer", tied=agent.tied, seed=2)
    assert _give(agent, _order(orchestrator, older, attempt=1, version=4)).status_code == 200
    taken_over = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        under_way = [pool.submit(_answers_until, taken_over, agent, seed) for seed in range(4)]
        _wait_for_answers_under_way(agent, 3)
        response = _give(agent, _order(orchestrator, newer, attempt=1, version=5))
        taken_over.set()
        answers = [answer for one in under_way for answer in one.result(timeout=120)]
    assert response.status_code == 200, response.text
    for answer in answers:
        expected = {
            4: expected_log_probabilities(older, answer.token_ids, 1.0),
            5: expected_log_probabilities(newer, answer.token_ids, 1.0),
        }
        of_its_version = [expected[version][place] for place, version in enumerate(answer.versions)]
        assert answer.log_probabilities == pytest.approx(of_its_version, abs=TOLERANCE)
        assert list(answer.versions) == sorted(answer.versions)
    assert any(set(answer.versions) == {4, 5} for answer in answers)


def test_what_older_weights_computed_is_kept_where_that_is_asked_for(
    agent: Subject, orchestrator: FakeOrchestrator
) -> None:
    """An answer under way goes on over it; one that is asked afterwards shares nothing with it."""
    older = write_tiny_model(agent.folder / "kept-older", tied=agent.tied, seed=7)
    newer = write_tiny_model(agent.folder / "kept-newer", tied=agent.tied, seed=8)
    assert _give(agent, _order(orchestrator, older, attempt=1, version=6)).status_code == 200
    prompt = [10 + place % 50 for place in range(140)]  # more than a block of the cache

    def answer(version: int, max_tokens: int = 24) -> tuple[Answer, dict[int, list[float]]]:
        found = asyncio.run(ask(agent.running, max_tokens=max_tokens, prompt=prompt, keep_kv_at=version))
        models = {6: older, 7: newer}
        return found, {at: expected_log_probabilities(models[at], found.token_ids, 1.0, prompt) for at in models}

    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(answer, 6, 110)
        _wait_for_answers_under_way(agent, 1)
        order = _order(orchestrator, newer, attempt=1, version=7)
        response = _give(agent, order.model_copy(update={"clear_cache": False}))
        under_way, expected = long.result(timeout=120)
    assert response.status_code == 200, response.text
    change = under_way.versions.index(7)
    assert under_way.log_probabilities[:change] == pytest.approx(expected[6][:change], abs=TOLERANCE)
    assert under_way.log_probabilities[change:] != pytest.approx(expected[7][change:], abs=0.1)
    later, expected = answer(7)
    assert later.log_probabilities == pytest.approx(expected[7], abs=TOLERANCE)
    salted_as_before, expected = answer(6)
    assert salted_as_before.log_probabilities != pytest.approx(expected[7], abs=0.1)


def test_an_order_of_an_older_attempt_is_refused(agent: Subject, orchestrator: FakeOrchestrator) -> None:
    """Once attempt 2 has given weights, attempt 1 can no longer change them; nor can an older version of attempt 2."""
    model = write_tiny_model(agent.folder / "fence", tied=agent.tied, seed=3)
    assert _give(agent, _order(orchestrator, model, attempt=2, version=4)).status_code == 200
    late = _give(agent, _order(orchestrator, model, attempt=1, version=9))
    assert late.status_code == 409
    assert "attempt 1 is over" in late.json()["error"]
    assert _give(agent, _order(orchestrator, model, attempt=2, version=3)).status_code == 409


def test_files_that_do_not_match_their_checksum_are_not_loaded(agent: Subject, orchestrator: FakeOrchestrator) -> None:
    """A file that arrives damaged is refused before the pause; the old weights go on sampling."""
    model = write_tiny_model(agent.folder / "damaged", tied=agent.tied, seed=4)
    before = answer_of(agent.running, temperature=0.01).token_ids
    order = _order(orchestrator, model, attempt=2, version=50)
    wrong = order.model_copy(update={"shards": tuple(s.model_copy(update={"sha256": "0" * 64}) for s in order.shards)})
    response = _give(agent, wrong)
    assert response.status_code == 503
    assert "checksum" in response.json()["error"]
    assert status_of(f"{agent.running.agent}/readyz") == 200
    assert answer_of(agent.running, temperature=0.01).token_ids == before


def test_a_failed_load_makes_the_server_unready_until_a_sound_one(
    agent: Subject, orchestrator: FakeOrchestrator
) -> None:
    """Weights that arrive whole but do not load: not ready, and no prompt is given; the next order heals all of it."""
    broken = agent.folder / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"whole, but no weights")
    response = _give(agent, _order(orchestrator, broken, attempt=3, version=1))
    assert response.status_code == 503
    assert "/update_weights" in response.json()["error"]
    assert status_of(f"{agent.running.agent}/readyz") == 503
    sound = write_tiny_model(agent.folder / "sound", tied=agent.tied, seed=5)
    response = _give(agent, _order(orchestrator, sound, attempt=3, version=2))
    assert response.status_code == 200, response.text
    assert status_of(f"{agent.running.agent}/readyz") == 200
    answer = answer_of(agent.running)
    assert answer.log_probabilities == pytest.approx(
        expected_log_probabilities(sound, answer.token_ids, 1.0), abs=TOLERANCE
    )


@pytest.mark.parametrize("agent", [True], ids=["tied"], indirect=True)
def test_an_engine_that_hangs_ends_the_agent(agent: Subject) -> None:
    """vLLM's routes go on answering, and nobody is told: the agent notices, ends, and leaves nothing of it."""
    (engine,) = [pid for pid in descendants(agent.running.process.pid) if "EngineCore" in name_of(pid)]
    os.kill(engine, signal.SIGSTOP)
    assert agent.running.process.wait(timeout=STALL_SECONDS + 120) == EXIT_RETRYABLE
    assert "vLLM runs, and has generated nothing for" in agent.running.log.read_text()
    assert not Path(f"/proc/{engine}").exists()


def name_of(pid: int) -> str:
    """What it calls itself."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
