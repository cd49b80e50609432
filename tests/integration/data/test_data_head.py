"""The fence of a run, on a real S3 server that honours conditional puts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from deepcoder_api.artifacts import Head
from deepcoder_data.head import FencedError, advance_head, claim_head, read_head
from deepcoder_data.store import ConflictError, ObjectStore

TIME = "2026-01-02T03:04:05+00:00"


def advance(store: ObjectStore, uri: str, attempt: int, step: int) -> Head:
    """Commit the checkpoint of a step."""
    return advance_head(store, uri, attempt=attempt, checkpoint=f"s3://b/step-{step}", step=step, time=TIME)


@pytest.fixture
def head(folder: str) -> str:
    """The URI of a head that is not there yet."""
    return f"{folder}/head.json"


def test_the_first_attempt_starts_from_nothing(store: ObjectStore, head: str) -> None:
    """No head before it, no checkpoint in it."""
    assert read_head(store, head) is None
    assert claim_head(store, head, 1) == Head(attempt=1)


def test_a_later_attempt_goes_on_from_the_last_checkpoint(store: ObjectStore, head: str) -> None:
    """Claiming changes who may commit, and nothing else."""
    claim_head(store, head, 1)
    advance(store, head, 1, 10)
    advance(store, head, 1, 20)

    assert claim_head(store, head, 3) == Head(attempt=3, checkpoint="s3://b/step-20", step=20, time=TIME)


def test_an_attempt_that_was_taken_over_commits_nothing_more(store: ObjectStore, head: str) -> None:
    """A zombie is told who owns the run, and the head stays as it was."""
    claim_head(store, head, 1)
    claim_head(store, head, 2)
    before = read_head(store, head)

    with pytest.raises(FencedError, match=r"attempt 2 owns the run; attempt 1 may commit no more"):
        advance(store, head, 1, 10)
    with pytest.raises(FencedError, match=r"attempt 2 owns the run; attempt 1 came too late"):
        claim_head(store, head, 1)
    assert read_head(store, head) == before


def test_an_attempt_may_claim_again(store: ObjectStore, head: str) -> None:
    """A claim whose answer was lost is made once more."""
    claim_head(store, head, 2)
    advance(store, head, 2, 10)

    assert claim_head(store, head, 2).step == 10


def test_nobody_commits_before_a_claim(store: ObjectStore, head: str) -> None:
    """The first commit of a run without a head is a defect of the caller, and is refused."""
    with pytest.raises(FencedError, match="nobody owns the run"):
        advance(store, head, 1, 1)


def test_a_claim_between_the_look_and_the_put_wins(
    store: ObjectStore, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The put names the ETag it saw: a claim that came between makes it lose, and the next look finds the fence."""
    claim_head(store, head, 1)
    put, claims = store.put_bytes, iter([2])

    def put_after_a_claim(uri: str, content: bytes, **conditions: object) -> str:
        for attempt in claims:
            monkeypatch.setattr(store, "put_bytes", put)
            claim_head(store, head, attempt)
        return put(uri, content, **conditions)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put_bytes", put_after_a_claim)
    with pytest.raises(FencedError, match="attempt 2 owns the run"):
        advance(store, head, 1, 10)

    found = read_head(store, head)
    assert found is not None
    assert found[0] == Head(attempt=2)


def test_of_many_attempts_that_claim_at_once_the_newest_owns_the_run(store: ObjectStore, head: str) -> None:
    """Each either claimed before a newer one did, or was fenced, or gave up; the newest is never lost."""

    def claim(attempt: int) -> str:
        try:
            claim_head(store, head, attempt)
        except (FencedError, ConflictError) as error:
            return type(error).__name__
        return "claimed"

    with ThreadPoolExecutor(4) as pool:
        outcomes = dict(zip(range(1, 5), pool.map(claim, range(1, 5)), strict=True))

    found = read_head(store, head)
    assert found is not None
    assert found[0].attempt == max(attempt for attempt, outcome in outcomes.items() if outcome == "claimed")
    assert outcomes[4] == "claimed"
