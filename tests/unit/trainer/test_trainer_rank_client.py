"""A rank's side of the protocol: what it asks, how long it is patient, and what it takes for final."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deepcoder_trainer import rank_client
from deepcoder_trainer.rank_client import OrchestratorAwayError, OrchestratorRefusedError, RankClient
from deepcoder_trainer.rank_protocol import CommandResult, RankFailure, Stop, Train

TRAIN = {"kind": "train", "step": 1, "learning_rate": 1e-6, "tokens_per_microbatch": 256}
Reply = httpx.Response | Exception


class Replies:
    """Gives the replies in turn and keeps what was asked; an exception is raised instead."""

    def __init__(self, *replies: Reply) -> None:
        self._left = list(replies)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        reply = self._left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def client(replies: Callable[[httpx.Request], httpx.Response], patience: float = 60.0) -> RankClient:
    transport = httpx.MockTransport(replies)
    return RankClient("http://trainer:8700", rank=5, attempt=2, patience_seconds=patience, transport=transport)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_client, "RETRY_SECONDS", 0.0)


def test_a_command_is_asked_by_index_with_rank_and_attempt() -> None:
    """The orchestrator can tell another attempt's rank from its own."""
    replies = Replies(httpx.Response(200, json=TRAIN))
    assert client(replies).command(7) == Train(step=1, learning_rate=1e-6, tokens_per_microbatch=256)
    url = replies.asked[0].url
    assert (url.path, dict(url.params)) == ("/v1/ranks/commands/7", {"rank": "5", "attempt": "2"})


def test_no_command_yet_is_asked_again_as_long_as_it_takes() -> None:
    """204 is an answer, not a failure: a step may take hours, whatever the patience with silence."""
    replies = Replies(*[httpx.Response(204)] * 5, httpx.Response(200, json={"kind": "stop"}))
    assert client(replies, patience=0.0).command(0) == Stop()


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.Response(503)])
def test_an_orchestrator_that_comes_back_is_found_again(trouble: Reply) -> None:
    """A lost connection and a server's own error are asked again."""
    replies = Replies(trouble, trouble, httpx.Response(200, json=TRAIN))
    assert client(replies).command(0).kind == "train"
    assert len(replies.asked) == 3


@pytest.mark.parametrize(
    ("trouble", "said"), [(httpx.ConnectError("refused"), "refused"), (httpx.Response(500, text="broken"), "broken")]
)
def test_patience_ends(trouble: Reply, said: str) -> None:
    """Another attempt may reach one; the message says what was asked and what was the matter."""
    with pytest.raises(OrchestratorAwayError, match=rf"ask for command 3 for 0 s: .*{said}"):
        client(Replies(trouble), patience=0.0).command(3)


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_refusal_is_final(status: int) -> None:
    """The orchestrator of another attempt, or one that does not understand: asked once."""
    replies = Replies(httpx.Response(status, text="this is attempt 3, not 2"))
    with pytest.raises(OrchestratorRefusedError, match="this is attempt 3"):
        client(replies).command(0)
    assert len(replies.asked) == 1


@pytest.mark.parametrize("body", ['{"kind": "dance"}', "not json", '{"kind": "train"}'])
def test_a_command_it_does_not_know_is_refused(body: str) -> None:
    """Never carried out by guess."""
    with pytest.raises(OrchestratorRefusedError, match="not one this rank knows"):
        client(Replies(httpx.Response(200, text=body))).command(0)


def test_a_batch_is_written_whole(tmp_path: Path) -> None:
    """The file is there only with all its bytes."""
    replies = Replies(httpx.ReadError("reset"), httpx.Response(200, content=b"tensors"))
    client(replies).fetch_batch(4, tmp_path / "batch")
    assert replies.asked[-1].url.path == "/v1/ranks/batches/4"
    assert (tmp_path / "batch").read_bytes() == b"tensors"
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


def test_results_and_last_words_are_posted_again_until_they_arrive() -> None:
    """An answer that is lost on the way is no reason to lose a step."""
    replies = Replies(httpx.ReadError("reset"), httpx.Response(204), httpx.Response(204))
    one = client(replies)
    one.report(2, CommandResult(metrics={"loss": 0.5}))
    one.fail(RankFailure(rank=5, cause="no memory"))
    assert [request.url.path for request in replies.asked] == [
        "/v1/ranks/results/2", "/v1/ranks/results/2", "/v1/ranks/failures",
    ]  # fmt: skip
    assert CommandResult.model_validate_json(replies.asked[1].content).metrics == {"loss": 0.5}
    assert RankFailure.model_validate_json(replies.asked[2].content).cause == "no memory"
