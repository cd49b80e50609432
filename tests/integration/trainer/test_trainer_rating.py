"""Answers of the base model in a real bucket: asked once, whoever rates, and rated alike by all.

The sampler is a stand-in, for it must fail at an exact moment.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import httpx
import pytest

from deepcoder_api.problems import Problem
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.rollout import Heartbeat, HeartbeatReply
from deepcoder_data.store import ConflictError, ObjectStore
from deepcoder_data.termination import PermanentError, RetryableError
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.cursor import Draw
from deepcoder_trainer.orchestrator.failures import NoRollout, RanksRefused, RequestRefused
from deepcoder_trainer.orchestrator.journal import from_parquet
from deepcoder_trainer.orchestrator.prompts import PromptRenderer
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.preparation.rating import Rater, Rating, rating
from deepcoder_trainer.preparation.rating_conditions import base_model_digest, problem_key, rating_conditions
from deepcoder_trainer.preparation.selection import Refusal
from deepcoder_trainer.samples import Sample
from tests.model_folders import write_model_folder
from tests.orchestrator_builders import sample, stage
from tests.problem_builders import problem
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server

DIFFICULTY = {"difficulty": {"samplesPerPrompt": 3, "keepAbove": 0}}


class Answers:
    """Answers each problem three times, one of them right and one cut off; `fail` is what a problem fails with."""

    def __init__(self) -> None:
        self.problems: dict[str, Problem] = {}
        self.asked: list[str] = []
        self.fail: dict[str, Exception] = {}

    async def group(self, draw: Draw, stage: ResolvedStage, priority: int = 0) -> list[Sample]:
        assert self.problems[draw.problem_id].id == draw.problem_id
        self.asked.append(draw.problem_id)
        if error := self.fail.get(draw.problem_id):
            raise error
        reasons = ("stop", "length", "stop")
        return [
            sample(problem_id=draw.problem_id, reward=float(number == 0), finish_reason=reason, versions=(0,) * 3)
            for number, reason in enumerate(reasons)
        ]


def rater(store: ObjectStore, folder: str) -> tuple[Rater, Answers]:
    """A rater of its own over the same folder of answers."""
    answers = Answers()
    return Rater(cast(Sampler, answers), answers.problems, store, folder, stage(limit=64), most=4), answers


@pytest.fixture
def folder(bucket: str) -> str:
    return f"s3://{bucket}/ratings/key"


async def test_what_was_answered_is_never_asked_again(s3: S3Server, folder: str) -> None:
    """Another preparation reads what the first left, and asks only what the first did not come to."""
    store = s3.store()
    first, asked = rater(store, folder)
    asked.fail["c"] = NoRollout("killed")
    rated = await asyncio.gather(*(first.rate(problem(id)) for id in "abc"), return_exceptions=True)
    assert rated[:2] == [Rating(accepted=1, truncated=1)] * 2
    assert isinstance(rated[2], RetryableError)
    second, asked_again = rater(store, folder)
    assert [await second.rate(problem(id)) for id in "abc"] == [Rating(1, 1)] * 3
    assert asked_again.asked == ["c"]
    assert (second.found, second.sampled) == (2, 1)
    kept = from_parquet(store.get_bytes(f"{folder}/{problem_key(problem('a'))}.parquet")).samples
    assert [(one.problem_id, one.reward, one.answer) for one in kept] == [
        ("a", reward, "```python\nprint(1)\n```") for reward in (1.0, 0.0, 0.0)
    ]


async def test_a_problem_that_changed_is_asked_anew(s3: S3Server, folder: str) -> None:
    """Another statement, other tests; not another source or another solution."""
    one, asked = rater(s3.store(), folder)
    await one.rate(problem("a"))
    await one.rate(problem("a", source="elsewhere", solution=None))
    assert asked.asked == ["a"]
    await one.rate(problem("a", prompt="Print its triple."))
    await one.rate(problem("a", tests=[{"kind": "stdin", "input": "1", "output": "2"}]))
    assert asked.asked == ["a", "a", "a"]


class Slower(ObjectStore):
    """Somebody else writes first."""

    def __init__(self, store: ObjectStore, theirs: bytes) -> None:
        self.__dict__ |= store.__dict__
        self._theirs = theirs

    def put_bytes(self, uri: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        super().put_bytes(uri, self._theirs)
        if if_absent:
            raise ConflictError(uri)
        return ""


async def test_of_two_preparations_both_rate_by_the_answers_that_came_first(s3: S3Server, folder: str) -> None:
    """Else equal runs would have different datasets under one key."""
    store = s3.store()
    first, _ = rater(store, f"{folder}/theirs")
    await first.rate(problem("a"))
    (theirs,) = [store.get_bytes(entry.uri) for entry in store.list(f"{folder}/theirs")]

    async def group(draw: Draw, stage: ResolvedStage, priority: int = 0) -> list[Sample]:
        return [sample(problem_id=draw.problem_id, reward=1.0)] * 3

    late, answers = rater(Slower(store, theirs), f"{folder}/ours")
    answers.group = group
    assert await late.rate(problem("a")) == Rating(accepted=1, truncated=1)


@pytest.mark.parametrize(
    ("failure", "raised"), [(NoRollout("nobody"), RetryableError), (RanksRefused("never"), PermanentError)]
)
async def test_a_failure_ends_the_preparation_as_it_would_a_run(
    s3: S3Server, folder: str, failure: Exception, raised: type[PermanentError]
) -> None:
    """Its reason and whether another try may help."""
    one, answers = rater(s3.store(), folder)
    answers.fail["a"] = failure
    with pytest.raises(PermanentError, match="cannot be rated by the base model") as caught:
        await one.rate(problem("a"))
    assert type(caught.value) is raised
    assert caught.value.reason == type(failure).__name__


async def test_what_a_server_refuses_is_a_problem_less(s3: S3Server, folder: str) -> None:
    """Training could not use it either; nothing is kept of it."""
    store = s3.store()
    one, answers = rater(store, folder)
    answers.fail["a"] = RequestRefused("too long")
    assert await one.rate(problem("a")) == Refusal("refused_when_rated", "too long")
    assert list(store.list(folder)) == []


async def test_rollout_servers_report_to_the_preparation_and_keep_the_base_model(
    s3: S3Server, bucket: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    """What they are told to hold is attempt 0, version 0; a port that is taken is said at once."""
    run = resolved_run(data=DIFFICULTY, storage={"uri": f"s3://{bucket}", "endpoint": s3.endpoint})
    assert run.spec.data.difficulty is not None
    model = write_model_folder(tmp_path)
    conditions = rating_conditions(run, run.spec.data.difficulty, "sha256:x", "tt")
    beat = Heartbeat(
        server="s", generate_url="http://x", agent_url="http://y", shards_url="http://z", node="n", attempt=0,
        version=0, ready=True,
    )  # fmt: skip
    async with SandboxClient("http://127.0.0.1:1", max_in_flight=1) as sandbox:
        given = (run, conditions, s3.store(), PromptRenderer(model), sandbox)
        async with (
            rating(*given, bind="127.0.0.1", port=unused_tcp_port) as one,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}", trust_env=False) as client,
        ):
            assert one.most == 512 // 3
            heard = await client.post("/v1/rollouts", content=beat.model_dump_json())
            assert HeartbeatReply.model_validate_json(heard.content) == HeartbeatReply(attempt=0, version=0)
            assert (await client.post("/v1/rollouts", content=b"{}")).status_code == 422
            assert (await client.get("/healthz")).status_code == 200
            with pytest.raises(OSError, match="in use"):
                async with rating(*given, bind="127.0.0.1", port=unused_tcp_port):
                    pass


def test_another_model_has_another_digest(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """By its content, wherever it lies: in a folder, or in S3."""
    store = s3.store()
    digests: list[str] = []
    for number, weights in enumerate((b"one", b"one", b"two")):
        model = write_model_folder(tmp_path / str(number), weights=weights)
        digests.append(base_model_digest(store, model.as_uri(), None, tmp_path))
        for file in model.iterdir():
            store.put_bytes(f"s3://{bucket}/{number}/{file.name}", file.read_bytes())
        digests.append(base_model_digest(store, f"s3://{bucket}/{number}", None, tmp_path))
    assert digests[:2] == digests[2:4]
    assert len(set(digests)) == 4


def test_problems_are_answered_as_in_the_first_stage() -> None:
    """By its own temperature and limit, with as many answers as rate a problem and with seeds of no run."""
    first = {"name": "first", "maxResponseTokens": 12, "steps": 1, "sampling": {"temperature": 0.5}}
    run = resolved_run(data=DIFFICULTY, stages=[first, {"name": "second", "maxResponseTokens": 24, "steps": 1}])
    assert run.spec.data.difficulty is not None
    conditions = rating_conditions(run, run.spec.data.difficulty, "sha256:x", "tt")
    assert (conditions.temperature, conditions.max_response_tokens) == (0.5, 12)
    asked = conditions.stage(run.stages[0])
    assert (asked.max_response_tokens, asked.algorithm.temperature) == (12, 0.5)
    assert (asked.algorithm.samples_per_prompt, asked.algorithm.seed) == (3, 2**31)
