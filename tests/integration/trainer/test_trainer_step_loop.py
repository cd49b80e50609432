"""Attempts of a run on a real S3 server: what is durable when, what a later attempt takes up, and who may commit.

Sampler and ranks are stand-ins, for they must fail at an exact moment; tests/e2e kills the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pyarrow.parquet as pq
import pytest

from deepcoder_api.artifacts import FileDigest, RunPaths, RunReport, ValidationResult
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_data.folders import read_completion
from deepcoder_data.head import claim_head, read_head
from deepcoder_data.holds import CheckpointHold
from deepcoder_data.store import AccessDeniedError, ObjectStore
from deepcoder_trainer.batch import read_batch
from deepcoder_trainer.orchestrator.checkpoints import Checkpoints
from deepcoder_trainer.orchestrator.cursor import Cursor, Draw
from deepcoder_trainer.orchestrator.failures import Harmful, RanksFailed, RunChanged, Stopped, StorageRefused, TakenOver
from deepcoder_trainer.orchestrator.journal import Journal, from_parquet
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.step_loop import StepLoop
from deepcoder_trainer.orchestrator.timetable import Timetable
from deepcoder_trainer.orchestrator.validation import Validation
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import (
    Command,
    CommandResult,
    Load,
    Publish,
    RankFailure,
    RankShards,
    Save,
    Stop,
    Train,
)
from deepcoder_trainer.run_report.records import SETTLE_SECONDS, RunRecords
from deepcoder_trainer.samples import Sample
from tests.orchestrator_builders import sample
from tests.resolved_runs import resolved_run
from tests.run_figures import step_figures
from tests.s3_server import S3Server

PROBLEMS = [f"problem-{number}" for number in range(12)]
HELD_OUT = [f"held-out-{number}" for number in range(4)]
DATASET = "s3://elsewhere/datasets/abc"
Interrupt = Callable[[int], Awaitable[None]]


async def undisturbed(step: int) -> None:
    """Nothing happens before `step` is sampled."""


@dataclass
class Answers:
    """A sampler that answers at once, two samples a draw; `interrupt` is awaited before the first draw of each step."""

    attempt: int
    interrupt: Interrupt
    prompts_per_step: int
    drawn: list[tuple[Draw, int]] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)
    """In the order of asking, as the draws are."""
    version: Callable[[], int] = lambda: 0
    scores: dict[int, float] = field(default_factory=dict)
    """Of the policy versions, in validation."""
    validated: list[tuple[str, int, int]] = field(default_factory=list)
    interrupt_validation: Interrupt = undisturbed
    enough_tokens: int = 0
    """Answers under a smaller limit are cut at it."""
    held: dict[int, asyncio.Event] = field(default_factory=dict)
    """Draws, by their place in the order of asking, whose answers take until the event is set."""
    alike: dict[Draw, float] = field(default_factory=dict)
    """Draws all whose answers earn the same."""

    @property
    def asked(self) -> list[tuple[list[Draw], int]]:
        """The draws by steps, with each step's limit."""
        size = self.prompts_per_step
        cut = [self.drawn[start : start + size] for start in range(0, len(self.drawn), size)]
        return [([draw for draw, _ in part], part[0][1]) for part in cut]

    async def answers(self, draw: Draw, stage: ResolvedStage, count: int) -> list[Sample]:
        """Held-out problems: the share that is right is `scores` of the newest published version, of four problems."""
        self.validated.append((draw.problem_id, self.version(), stage.max_response_tokens))
        await self.interrupt_validation(self.version())
        right = HELD_OUT.index(draw.problem_id) < round(self.scores.get(self.version(), 0.0) * len(HELD_OUT))
        return [sample(problem_id=draw.problem_id, reward=float(right)) for _ in range(count)]

    async def group(self, draw: Draw, stage: ResolvedStage, priority: int = 0) -> list[Sample]:
        place = len(self.drawn)
        self.drawn.append((draw, stage.max_response_tokens))
        self.priorities.append(priority)
        if place % self.prompts_per_step == 0:
            await self.interrupt(place // self.prompts_per_step + 1)
        if place in self.held:
            await self.held[place].wait()
        return [
            sample(
                problem_id=draw.problem_id, epoch=draw.epoch, group=0, versions=(0,) * 3,
                reward=self.alike.get(draw, float(number)),
                answer=f"of attempt {self.attempt}",
                finish_reason="length" if stage.max_response_tokens < self.enough_tokens else "stop",
            )
            for number in range(stage.algorithm.samples_per_prompt)
        ]  # fmt: skip


@dataclass
class Ranks:
    """Carries commands out; `fail_at` is the step whose training fails."""

    channel: RankChannel
    batches: Path
    fail_at: int | None
    done: list[Command] = field(default_factory=list)
    weights: PullTransport = field(init=False)
    trained: list[tuple[int, int]] = field(default_factory=list)
    on_train: Callable[[int], None] = lambda step: None
    sampler_kl: float = 0.0

    async def follow(self) -> None:
        index = 0
        while not isinstance(command := await self.channel.read(index, 3600), Stop):
            assert command is not None
            match command:
                case Train(step=step) if step == self.fail_at:
                    self.channel.failed(RankFailure(rank=0, cause="killed"))
                case Train(step=step):
                    batch = read_batch(self.batches / f"step-{step:06d}.safetensors")
                    self.trained.append((batch.step, len(batch)))
                    self.on_train(step)
                case Publish(version=version):
                    digest = FileDigest(path="model.safetensors", bytes=7, sha256="0" * 64)
                    shards = RankShards(version=version, rank=0, ranks=1, url="http://trainer", files=(digest,))
                    self.weights.announced(shards)
                case Save(step=step, directory=directory):
                    for part in ("model", "state"):
                        (Path(directory) / part).mkdir()
                        (Path(directory) / part / "x.safetensors").write_text(f"{part} of step {step}")
                    (Path(directory) / "model/config.json").write_text('{"eos_token_id": 2}')
                case Load():
                    pass
            self.done.append(command)
            self.channel.finished(index, CommandResult(metrics={"loss": 0.5, "sampler_kl": self.sampler_kl}))
            index += 1


@dataclass
class Attempt:
    """One attempt with its parts."""

    loop: StepLoop
    answers: Answers
    ranks: Ranks

    @property
    def load(self) -> Load:
        """The command that the ranks began with."""
        assert isinstance(self.ranks.done[0], Load)
        return self.ranks.done[0]


@dataclass
class World:
    """A run in a bucket of its own."""

    store: ObjectStore
    run: ResolvedRun
    folder: Path

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.run.spec.storage.uri, self.run.namespace, self.run.name, self.run.uid)

    @contextlib.asynccontextmanager
    async def attempt(
        self, number: int, *, fail_at: int | None = None, interrupt: Interrupt = undisturbed,
        dataset: str = DATASET, store: ObjectStore | None = None, stop: asyncio.Event | None = None,
    ) -> AsyncIterator[Attempt]:  # fmt: skip
        work = self.folder / f"attempt-{number}"
        (work / "batches").mkdir(parents=True)
        channel, metrics, registry = (
            RankChannel(),
            RunMetrics(),
            RolloutRegistry(
                Policy(number, 0), time.monotonic, begins_with_base_model=self.run.spec.resume_from is None
            ),
        )
        journal = Journal(store or self.store, self.paths)
        progress = RunProgress(number, self.run.total_steps)
        answers = Answers(number, interrupt, self.run.algorithm.prompts_per_step)
        validation = self.validation(number, answers, metrics)
        checkpoints = Checkpoints(
            store=store or self.store, paths=self.paths, journal=journal, ranks=channel, attempt=number,
            folder=work / "checkpoints", run=self.run,
            scores=validation.scores if validation else {}, committed=progress.committed,
        )  # fmt: skip
        ranks = Ranks(channel, work / "batches", fail_at)
        async with httpx.AsyncClient() as client:
            weights = ranks.weights = PullTransport(
                attempt=number, ranks=channel, registry=registry, client=client, metrics=metrics,
            )  # fmt: skip
            loop = StepLoop(
                run=self.run, attempt=number, dataset=dataset, model_dir=self.folder, batches=work / "batches",
                problem_ids=PROBLEMS, sampler=cast(Sampler, answers), ranks=channel, weights=weights, journal=journal,
                checkpoints=checkpoints, progress=progress, metrics=metrics, validation=validation,
                records=RunRecords(store or self.store, self.paths, self.run, number), stop=stop or asyncio.Event(),
            )  # fmt: skip
            answers.version = lambda: registry.wanted.version
            following = asyncio.create_task(ranks.follow())
            try:
                yield Attempt(loop, answers, ranks)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    def validation(self, number: int, answers: Answers, metrics: RunMetrics) -> Validation | None:
        """The run's validation with the problems HELD_OUT, when it has one."""
        if self.run.spec.validation is None:
            return None
        problems = {
            id: Problem.model_validate(
                {"id": id, "prompt": id, "source": "held-out", "tests": [{"kind": "stdin", "input": "", "output": ""}]}
            )
            for id in HELD_OUT
        }
        sampler = cast(Sampler, answers)
        return Validation(
            self.run.spec.validation, problems, sampler, self.store, self.paths, number, metrics.validated
        )

    def head_step(self) -> int:
        found = read_head(self.store, self.paths.head)
        assert found is not None
        return found[0].step

    def steps(self, folder: str) -> list[int]:
        names = {
            entry.uri.removeprefix(f"{self.paths.root}/{folder}/")
            for entry in self.store.list(f"{self.paths.root}/{folder}")
        }
        return sorted({int(name[5:11]) for name in names})


@dataclass
class _NoFigures:
    """A store that takes no report and no figures."""

    store: ObjectStore
    refused: int = 0

    def put_bytes(self, uri: str, *arguments: Any, **options: Any) -> str:
        if "/figures/" in uri or "/report." in uri:
            self.refused += 1
            raise AccessDeniedError(f"{uri}: refused")
        return self.store.put_bytes(uri, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def samples_of(world: World, step: int) -> list[dict[str, Any]]:
    """The rows of samples/ for a step."""
    return pq.read_table(io.BytesIO(world.store.get_bytes(world.paths.samples(step)))).to_pylist()


@pytest.fixture
def world(s3: S3Server, bucket: str, tmp_path: Path) -> World:
    """Five steps, a checkpoint every second, the last two kept."""
    return World(s3.store(), resolved_run(storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint}), tmp_path)


async def test_a_run_leaves_its_last_checkpoints_its_samples_and_a_head(world: World) -> None:
    """Every step is sampled under its stage's limit and trained once; what no checkpoint needs is pruned."""
    async with world.attempt(1) as attempt:
        uri = await attempt.loop.execute()
    assert uri == f"{world.paths.checkpoint(5)}/model"
    assert [limit for _, limit in attempt.answers.asked] == [12, 12, 12, 24, 24]
    drawn = [draw for draws, _ in attempt.answers.asked for draw in draws]
    assert len(set(drawn)) == len(drawn) == 20
    assert attempt.ranks.trained == [(step, 8) for step in range(1, 6)]
    assert world.head_step() == 5
    assert world.steps("checkpoints") == [4, 5]
    assert world.steps("journal") == [5]
    assert world.steps("samples") == [1, 2, 3, 4, 5]
    completion = read_completion(world.store, world.paths.checkpoint(5))
    assert completion is not None
    beside = ["model/README.md", "model/config.json", "model/generation_config.json"]
    assert [file.path for file in completion.files] == [
        *beside, "model/x.safetensors", "state/x.safetensors", "state.json",
    ]  # fmt: skip
    assert completion.metadata == {"attempt": "1"}
    # Nothing is published before the first step, which the base model samples, nor after the last.
    assert [c.version for c in attempt.ranks.done if isinstance(c, Publish)] == [1, 2, 3, 4]


async def test_a_checkpoint_that_is_being_measured_is_not_pruned(world: World) -> None:
    """It stays whole beside the newest two, though nothing else needs it."""
    hold = CheckpointHold(world.store, world.paths.checkpoint(2), "one", "Evaluation team/one")
    hold.take()
    async with world.attempt(1) as attempt:
        await attempt.loop.execute()
    assert world.steps("checkpoints") == [2, 4, 5]
    assert read_completion(world.store, world.paths.checkpoint(2)) is not None
    assert world.steps("journal") == [5]


async def test_a_run_leaves_the_figures_of_its_steps(world: World) -> None:
    """report.json has every step with its stage; report.html shows them; the steps' own objects are gone."""
    async with world.attempt(1) as attempt:
        await attempt.loop.execute()
    report = RunReport.model_validate_json(world.store.get_bytes(world.paths.report))
    assert [(figures.step, figures.stage, figures.answers) for figures in report.steps] == [
        (1, "short", 8),
        (2, "short", 8),
        (3, "short", 8),
        (4, "long", 8),
        (5, "long", 8),
    ]
    assert [(stage.name, stage.first_step) for stage in report.stages] == [("short", 1), ("long", 4)]
    assert report.steps[0].reward == 0.5
    assert report.steps[0].training["loss"] == 0.5
    assert {"sample", "journal", "train", "publish"} <= report.steps[0].seconds.keys()
    page = world.store.get_bytes(world.paths.report_page).decode()
    assert "<title>tiny</title>" in page
    assert world.steps("figures") == []


async def test_figures_go_on_over_an_attempt_that_dies(world: World) -> None:
    """Attempt 1 dies in step 4: step 3, which no checkpoint holds, is trained again and keeps its first figures."""
    async with world.attempt(1, fail_at=4) as first:
        with pytest.raises(RanksFailed):
            await first.loop.execute()
    report = RunReport.model_validate_json(world.store.get_bytes(world.paths.report))
    assert [figures.step for figures in report.steps] == [1, 2]
    assert world.steps("figures") == [3]
    async with world.attempt(2) as second:
        await second.loop.execute()
    report = RunReport.model_validate_json(world.store.get_bytes(world.paths.report))
    assert [(figures.step, figures.attempt) for figures in report.steps] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)]
    assert "sample" in report.steps[2].seconds, "the time that the first attempt sampled for"
    assert "sample" not in report.steps[3].seconds, "its batch was the first attempt's"
    assert world.steps("figures") == []


async def test_a_run_goes_on_when_its_figures_cannot_be_written_or_read(world: World) -> None:
    """What is refused is told in the log; steps and checkpoints are as ever."""
    world.store.put_bytes(world.paths.report, b"not JSON")
    world.store.put_bytes(world.paths.step_figures(1), b"{}")
    refusing = _NoFigures(world.store)
    async with world.attempt(1) as attempt:
        attempt.loop.records = RunRecords(cast(ObjectStore, refusing), world.paths, world.run, 1)
        await attempt.loop.execute()
    assert refusing.refused > 0
    assert world.head_step() == 5
    assert world.store.get_bytes(world.paths.report) == b"not JSON"


async def test_the_event_file_is_there_when_it_is_asked_for(world: World) -> None:
    """One file for the run, with every step; without the field there is none."""
    async with world.attempt(1) as attempt:
        await attempt.loop.execute()
    assert not world.store.exists(world.paths.event_file)
    asked = World(
        world.store,
        resolved_run(
            uid="tracked-", storage=world.run.spec.storage.model_dump(by_alias=True), tracking={"tensorboard": True}
        ),
        world.folder,
    )
    async with asked.attempt(2) as attempt:
        await attempt.loop.execute()
    content = world.store.get_bytes(asked.paths.event_file)
    assert content.count(b"answers/reward") == 5


@dataclass
class _LateRecords:
    """A store in which samples and figures of a step take until its checkpoint is complete, and a moment more."""

    store: ObjectStore
    order: list[str] = field(default_factory=list)
    complete: threading.Event = field(default_factory=threading.Event)

    def put_bytes(self, uri: str, *arguments: Any, **options: Any) -> str:
        if "/samples/step-000002" in uri or "/figures/step-000002" in uri:
            assert self.complete.wait(20)
            time.sleep(0.3)
        done = self.store.put_bytes(uri, *arguments, **options)
        self.order.append("/".join(uri.split("/")[-2:]))
        if uri.endswith("step-000002/complete.json"):
            self.complete.set()
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_a_checkpoint_is_committed_once_samples_and_figures_of_its_steps_are_written(world: World) -> None:
    """A later attempt does not train those steps again: what is lacking then would be lacking for ever."""
    late = _LateRecords(world.store)
    async with world.attempt(1, store=cast(ObjectStore, late)) as attempt:
        attempt.loop.records = RunRecords(cast(ObjectStore, late), world.paths, world.run, 1)
        await attempt.loop.execute()
    _, commit, *_ = [place for place, name in enumerate(late.order) if name.endswith("/head.json")]
    assert {
        "step-000002/complete.json", "samples/step-000002.parquet", "figures/step-000002.json",
    } <= set(late.order[:commit])  # fmt: skip


async def test_an_attempt_that_is_over_does_not_replace_the_report(world: World) -> None:
    """Of two attempts the newer one's report stays."""
    claim_head(world.store, world.paths.head, 2)
    records = RunRecords(world.store, world.paths, world.run, 1)
    records.request_report()
    await records.close()
    assert not world.store.exists(world.paths.report)


async def test_a_page_that_cannot_be_drawn_holds_up_no_figures(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the report is told in the log; what follows is written, and nobody waits in vain."""
    claim_head(world.store, world.paths.head, 1)

    def faulty(report: RunReport) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("deepcoder_trainer.run_report.records.run_page", faulty)
    records = RunRecords(world.store, world.paths, world.run, 1)
    records.request_report()
    async with asyncio.timeout(SETTLE_SECONDS / 2):
        await records.settle()
        records.add(step_figures(1))
        await records.close()
    assert world.steps("figures") == [1]


async def test_a_batch_that_was_graded_is_trained_on_by_the_next_attempt_without_sampling(world: World) -> None:
    """The ranks die in step 4, whose batch is durable: attempt 2 starts from step 2, replays 3 and 4, samples 5."""

    async def committed(step: int) -> None:
        await first.loop.checkpoints.behind.settle()

    async with world.attempt(1, fail_at=4, interrupt=committed) as first:
        with pytest.raises(RanksFailed, match="rank 0: killed"):
            await first.loop.execute()
    assert world.head_step() == 2
    async with world.attempt(2) as second:
        await second.loop.execute()
    assert second.load.checkpoint_dir is not None
    assert (Path(second.load.checkpoint_dir) / "state/x.safetensors").read_text() == "state of step 2"
    assert second.ranks.trained == [(3, 8), (4, 8), (5, 8)]
    ((_, limit),) = second.answers.asked
    assert limit == 24
    drawn = [draw for asked in (first, second) for draws, _ in asked.answers.asked for draw in draws]
    assert len(set(drawn)) == len(drawn) == 20  # no prompt lost, none twice
    # What was replayed is not published; only the weights that sample again are.
    assert [c.version for c in second.ranks.done if isinstance(c, Publish)] == [4]
    assert world.head_step() == 5


async def test_without_anything_to_replay_the_next_attempt_publishes_what_it_starts_from(world: World) -> None:
    """Servers may hold weights of the attempt that is over."""

    async def die(step: int) -> None:
        if step == 3:
            await first.loop.checkpoints.behind.settle()
            raise RanksFailed("a rank is gone")

    async with world.attempt(1, interrupt=die) as first:
        with pytest.raises(RanksFailed):
            await first.loop.execute()
    async with world.attempt(2) as second:
        await second.loop.execute()
    assert [type(command).__name__ for command in second.ranks.done[:3]] == ["Load", "Publish", "Train"]
    assert second.ranks.trained == [(3, 8), (4, 8), (5, 8)]


class HeadRefused(ObjectStore):
    """Takes everything but a head of step 4."""

    def __init__(self, store: ObjectStore) -> None:
        self.__dict__ |= store.__dict__

    def put_bytes(self, uri: str, content: bytes, *, if_match: str | None = None, if_absent: bool = False) -> str:
        if uri.endswith("head.json") and b'"step": 4' in content:
            raise AccessDeniedError(uri)
        return super().put_bytes(uri, content, if_match=if_match, if_absent=if_absent)


async def test_a_checkpoint_that_the_head_does_not_name_is_written_again(world: World) -> None:
    """Whole in the bucket but not committed: the next attempt goes on from the one before, and commits its own."""
    async with world.attempt(1, store=HeadRefused(world.store)) as first:
        with pytest.raises(StorageRefused, match="commit"):
            await first.loop.execute()
    assert world.steps("checkpoints") == [2, 4]
    assert world.head_step() == 2
    async with world.attempt(2) as second:
        await second.loop.execute()
    assert second.ranks.trained[0] == (3, 8)
    completion = read_completion(world.store, world.paths.checkpoint(4))
    assert completion is not None
    assert completion.metadata == {"attempt": "2"}


async def test_an_attempt_that_was_taken_over_commits_nothing(world: World) -> None:
    """A newer attempt claims the run while step 3 is sampled: the old one ends for good, and the head stays."""

    async def claim(step: int) -> None:
        if step == 3:
            await old.loop.checkpoints.behind.settle()
            claim_head(world.store, world.paths.head, 2)

    async with world.attempt(1, interrupt=claim) as old:
        with pytest.raises(TakenOver, match="newer attempt"):
            await old.loop.execute()
    found = read_head(world.store, world.paths.head)
    assert found is not None
    assert (found[0].attempt, found[0].step) == (2, 2)
    assert world.steps("checkpoints") == [2]
    async with world.attempt(3) as newest:
        await newest.loop.execute()
    async with world.attempt(2) as late:
        with pytest.raises(TakenOver, match="attempt 3 owns the run"):
            await late.loop.execute()


async def test_a_stop_leaves_a_checkpoint_of_all_finished_steps(world: World) -> None:
    """Asked to stop while step 4 is sampled: the sampling is given up, and step 3 is kept."""
    stop = asyncio.Event()

    async def ask_for_the_end(step: int) -> None:
        if step == 4:
            stop.set()
            await asyncio.Event().wait()

    async with world.attempt(1, stop=stop, interrupt=ask_for_the_end) as attempt:
        with pytest.raises(Stopped, match="after step 3"):
            await attempt.loop.execute()
        await attempt.loop.leave_checkpoint()
    assert world.head_step() == 3
    async with world.attempt(2) as second:
        await second.loop.execute()
    assert second.ranks.trained == [(4, 8), (5, 8)]


async def test_a_stop_during_training_lets_the_step_end_and_begins_no_other(world: World) -> None:
    """Asked while the ranks train step 2: its batch is not lost, and nothing more is sampled."""
    stop = asyncio.Event()
    async with world.attempt(1, stop=stop) as attempt:
        attempt.ranks.on_train = lambda step: stop.set() if step == 2 else None
        with pytest.raises(Stopped, match="after step 2"):
            await attempt.loop.execute()
    assert [step for step, _ in attempt.ranks.trained] == [1, 2]
    assert len(attempt.answers.asked) == 2


async def test_a_run_whose_servers_sample_by_other_weights_ends_with_what_was_good(world: World) -> None:
    """Sampler and trainer far apart for three steps: it ends for good, before such weights are kept."""
    async with world.attempt(1) as attempt:
        attempt.ranks.on_train = lambda step: setattr(attempt.ranks, "sampler_kl", 0.9)
        with pytest.raises(Harmful, match=r"step 3: SamplerApart: .* 0.9 nats a token apart"):
            await attempt.loop.execute()
        await attempt.loop.checkpoints.behind.settle()
    assert [step for step, _ in attempt.ranks.trained] == [1, 2, 3]
    assert world.head_step() == 2
    assert attempt.loop.progress.view(1).warnings[0].startswith("SamplerApart")


async def test_a_run_that_is_done_is_not_trained_again(world: World) -> None:
    """An attempt that finds the last step committed says where the model is, and issues nothing."""
    async with world.attempt(1) as attempt:
        uri = await attempt.loop.execute()
    async with world.attempt(2) as again:
        assert await again.loop.execute() == uri
    assert again.ranks.done == []


async def test_another_dataset_is_no_reason_to_go_on(world: World) -> None:
    """The cursor's position would be of other problems."""

    async def committed(step: int) -> None:
        await first.loop.checkpoints.behind.settle()

    async with world.attempt(1, fail_at=4, interrupt=committed) as first:
        with pytest.raises(RanksFailed):
            await first.loop.execute()
    async with world.attempt(2, dataset="s3://elsewhere/datasets/xyz") as second:
        with pytest.raises(RunChanged, match="datasets/abc"):
            await second.loop.execute()


async def test_an_asynchronous_run_that_is_killed_trains_every_prompt_once(s3: S3Server, bucket: str, tmp_path: Path):
    """Staleness 1: step 1 goes on without a long answer, which step 2 waits for; attempt 2 samples what was ahead."""
    storage = {"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint}
    world = World(s3.store(), resolved_run(storage=storage, algorithm={"maxStaleness": 1}), tmp_path)
    long = asyncio.Event()
    async with world.attempt(1, fail_at=4) as first:
        first.answers.held[0] = long
        first.ranks.on_train = lambda step: long.set() if step == 1 else None
        with pytest.raises(RanksFailed):
            await first.loop.execute()
        await first.loop.checkpoints.behind.settle()
    async with world.attempt(2) as second:
        await second.loop.execute()
    assert second.ranks.trained[0][0] in (3, 4)
    batches = {step: samples_of(world, step) for step in range(1, 6)}
    drawn = {step: {(row["problem"], row["epoch"]) for row in rows} for step, rows in batches.items()}
    earliest = Cursor(PROBLEMS, 0).draw(0)
    assert (earliest.problem_id, earliest.epoch) in drawn[2]
    assert [len(draws) for draws in drawn.values()] == [4] * 5
    expected = {(draw.problem_id, draw.epoch) for draw in map(Cursor(PROBLEMS, 0).draw, range(20))}
    assert set.union(*drawn.values()) == expected
    # The limits are those of the stages that the draws were drawn for.
    limits = {Cursor(PROBLEMS, 0).number(draw): limit for draw, limit in first.answers.drawn}
    assert all(limit == (12 if number < 12 else 24) for number, limit in limits.items())
    # Earlier draws are graded before later ones.
    numbers = [Cursor(PROBLEMS, 0).number(draw) for draw, _ in first.answers.drawn]
    assert first.answers.priorities == numbers == sorted(numbers)


def staged(s3: S3Server, bucket: str, folder: Path, staleness: int, max_draws: int = 1) -> World:
    """Six steps at 12 tokens that end early once half of two steps' answers are cut; then three at 24.

    The second stage has its own batch, sampling and microbatch, and begins with an empty optimizer.
    """
    short = {"name": "short", "maxResponseTokens": 12, "steps": 6}
    long = {
        "name": "long", "maxResponseTokens": 24, "steps": 3, "promptsPerStep": 6, "samplesPerPrompt": 3,
        "tokensPerMicrobatch": 128, "resetOptimizer": True, "sampling": {"temperature": 0.5},
    }  # fmt: skip
    advance = {"truncatedFractionAbove": 0.5, "windowSteps": 2}
    run = resolved_run(
        storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint},
        algorithm={"maxStaleness": staleness, "dynamicSampling": {"maxDrawsPerPrompt": max_draws}},
        stages=[short | {"advanceWhen": advance}, long],
    )  # fmt: skip
    return World(s3.store(), run, folder)


def trained_draws(world: World, steps: int) -> dict[int, list[int]]:
    """The numbers of the draws that each step trained, in order."""
    cursor = Cursor(PROBLEMS, 0)
    return {
        step: sorted({cursor.number(Draw(row["problem"], row["epoch"])) for row in samples_of(world, step)})
        for step in range(1, steps + 1)
    }


@pytest.mark.parametrize(("staleness", "short_steps"), [(0, 2), (1, 3)])
async def test_the_limit_rises_when_answers_are_cut(
    s3: S3Server, bucket: str, tmp_path: Path, staleness: int, short_steps: int
) -> None:
    """Step 2 says so. What has begun by then, one step more with staleness 1, is trained under the old limit."""
    world = staged(s3, bucket, tmp_path, staleness)
    async with world.attempt(1) as attempt:
        attempt.answers.enough_tokens = 20
        uri = await attempt.loop.execute()
    total = short_steps + 3
    assert uri == f"{world.paths.checkpoint(total)}/model"
    assert world.head_step() == total
    assert attempt.ranks.trained == [(step, 8 if step <= short_steps else 18) for step in range(1, total + 1)]
    trains = [command for command in attempt.ranks.done if isinstance(command, Train)]
    assert [one.tokens_per_microbatch for one in trains] == [256] * short_steps + [128] * 3
    assert [one.step for one in trains if one.reset_optimizer] == [short_steps + 1]
    assert [limit for _, limit in attempt.answers.drawn] == [12] * 4 * short_steps + [24] * 18
    draws = trained_draws(world, total)
    assert [draw for step in draws.values() for draw in step] == list(range(4 * short_steps + 18))
    view = attempt.loop.progress.view(1)
    assert (view.stage, view.step, view.total_steps) == ("long", total, total)
    ((stage, step, reason),) = [(one.stage, one.step, one.reason) for one in view.advances]
    assert (stage, step) == ("short", short_steps)
    assert reason == "truncated fraction 1 over the last 2 steps, above 0.5"


@pytest.mark.parametrize("staleness", [0, 1])
@pytest.mark.parametrize("fail_at", range(1, 6))
async def test_a_killed_run_raises_the_limit_where_it_would_have(
    s3: S3Server, bucket: str, tmp_path: Path, staleness: int, fail_at: int
) -> None:
    """Whichever step the ranks die in, before or after the decision: the next attempt comes to the same stages."""
    world = staged(s3, bucket, tmp_path, staleness)
    async with world.attempt(1, fail_at=fail_at) as first:
        first.answers.enough_tokens = 20
        with pytest.raises(RanksFailed):
            await first.loop.execute()
        with contextlib.suppress(RanksFailed):
            await first.loop.checkpoints.behind.settle()
    async with world.attempt(2) as second:
        second.answers.enough_tokens = 20
        await second.loop.execute()
    short_steps = 2 + staleness
    total = short_steps + 3
    assert world.head_step() == total
    draws = trained_draws(world, total)
    assert [draw for step in draws.values() for draw in step] == list(range(4 * short_steps + 18))
    assert [one.step for one in second.loop.progress.advances] == [short_steps]
    resets = {c.step for c in (*first.ranks.done, *second.ranks.done) if isinstance(c, Train) and c.reset_optimizer}
    assert resets == {short_steps + 1}
    async with world.attempt(3) as again:
        assert await again.loop.execute() == f"{world.paths.checkpoint(total)}/model"
    assert again.ranks.done == []


SCORES = {2: 0.75, 4: 1.0, 6: 0.5, 8: 0.25, 9: 0.0}


def validated(s3: S3Server, bucket: str, folder: Path, staleness: int = 0) -> World:
    """Nine steps; a checkpoint every second and a validation with it; the newest stays, and the best two."""
    held_out = {"name": "held-out", "format": "jsonl", "uri": "file:///held-out.jsonl"}
    run = resolved_run(
        storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint}, algorithm={"maxStaleness": staleness},
        stages=[{"name": "only", "maxResponseTokens": 12, "steps": 9}],
        validation={"everySteps": 2, "sources": [held_out], "samplesPerPrompt": 3},
        checkpoint={"everySteps": 2, "keepLast": 1, "keepBest": 2},
    )  # fmt: skip
    return World(s3.store(), run, folder)


def results(world: World) -> dict[int, ValidationResult]:
    """What the bucket holds of validations, by step."""
    uris = [e.uri for e in world.store.list(f"{world.paths.root}/validation") if e.uri.endswith(".json")]
    read = [ValidationResult.model_validate_json(world.store.get_bytes(uri)) for uri in uris]
    return {result.step: result for result in read}


@pytest.mark.parametrize("staleness", [0, 1])
async def test_the_best_checkpoints_stay_beside_the_newest(
    s3: S3Server, bucket: str, tmp_path: Path, staleness: int
) -> None:
    """Scores rise and fall: steps 2 and 4 stay for their score, 9 as the newest."""
    world = validated(s3, bucket, tmp_path, staleness)
    async with world.attempt(1) as attempt:
        attempt.answers.scores = SCORES
        await attempt.loop.execute()
    assert {step: result.pass_at_1 for step, result in results(world).items()} == SCORES
    assert world.steps("checkpoints") == [2, 4, 9]
    best = attempt.loop.progress.view(1).best_checkpoint
    assert best is not None
    assert (best.uri, best.step, best.score) == (world.paths.checkpoint(4), 4, 1.0)
    newest = attempt.loop.progress.view(1).validation
    assert newest is not None
    assert (newest.step, newest.score) == (9, 0.0)
    # Every problem is asked once of each version that is measured, under the limit of its stage.
    assert sorted(attempt.answers.validated) == sorted((id, version, 12) for id in HELD_OUT for version in SCORES)
    result = results(world)[2]
    assert (result.problems, result.samples, result.pass_at_1_by_source) == (4, 12, {"held-out": 0.75})
    rows = pq.read_table(io.BytesIO(world.store.get_bytes(f"{world.paths.validation(2)}.parquet"))).to_pylist()
    assert [row["problem"] for row in rows] == [id for id in HELD_OUT for _ in range(3)]
    # Validation takes no draw of the cursor.
    assert [draw for step in trained_draws(world, 9).values() for draw in step] == list(range(36))


async def test_the_next_weights_wait_for_a_validation_and_sampling_does_not(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """While step 2 is measured step 3 is sampled and trained; its weights are published only then."""
    world = validated(s3, bucket, tmp_path)
    trained, measured = asyncio.Event(), asyncio.Event()

    async def hold(version: int) -> None:
        if version == 2:
            await trained.wait()
            await asyncio.sleep(0.05)
            published = [c.version for c in attempt.ranks.done if isinstance(c, Publish)]
            assert published == [1, 2]
            measured.set()

    async with world.attempt(1) as attempt:
        attempt.answers.interrupt_validation = hold
        attempt.ranks.on_train = lambda step: trained.set() if step == 3 else None
        await asyncio.wait_for(attempt.loop.execute(), 60)
    assert measured.is_set()


@pytest.mark.parametrize("at", [2, 4, 9])
async def test_a_validation_that_an_attempt_did_not_come_to_is_made_up_for(
    s3: S3Server, bucket: str, tmp_path: Path, at: int
) -> None:
    """It dies while step `at` is measured, the last one too: the next attempt measures those weights, no others."""
    world = validated(s3, bucket, tmp_path)

    async def die(version: int) -> None:
        if version == at:
            raise RanksFailed("gone")

    async with world.attempt(1) as first:
        first.answers.scores, first.answers.interrupt_validation = SCORES, die
        with pytest.raises(RanksFailed):
            await first.loop.execute()
        await first.loop.checkpoints.behind.settle()
    assert at not in results(world)
    async with world.attempt(2) as second:
        second.answers.scores = SCORES
        await second.loop.execute()
    assert {step: result.pass_at_1 for step, result in results(world).items()} == SCORES
    assert [one.attempt for one in results(world).values()] == [1 if step < at else 2 for step in results(world)]
    assert world.steps("checkpoints") == [2, 4, 9]
    async with world.attempt(3) as again:
        await again.loop.execute()
        assert again.ranks.done == []
        best = again.loop.progress.view(1).best_checkpoint
    assert best is not None
    assert (best.step, best.score) == (4, 1.0)


async def test_a_stop_in_the_last_validation_leaves_it_to_the_next_attempt(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """The last checkpoint would end the run: it is not written before the score is in, and the journal has its step."""
    world, stop = validated(s3, bucket, tmp_path), asyncio.Event()

    async def ask_for_the_end(version: int) -> None:
        if version == 9:
            stop.set()
            await asyncio.Event().wait()

    async with world.attempt(1, stop=stop) as first:
        first.answers.scores, first.answers.interrupt_validation = SCORES, ask_for_the_end
        with pytest.raises(Stopped, match="after step 9"):
            await first.loop.execute()
        await first.loop.leave_checkpoint()
    assert world.head_step() == 8
    async with world.attempt(2) as second:
        second.answers.scores = SCORES
        await second.loop.execute()
    assert second.ranks.trained == [(9, 8)]
    assert {step: result.pass_at_1 for step, result in results(world).items()} == SCORES


@pytest.mark.parametrize("fail_at", [None, 1, 2, 3])
async def test_a_run_begins_with_another_runs_checkpoint(
    s3: S3Server, bucket: str, tmp_path: Path, world: World, fail_at: int | None
) -> None:
    """Its weights and optimizer, published before anything is sampled; steps, draws and stages are its own."""
    async with world.attempt(1) as source:
        await source.loop.execute()
    before = {entry.uri: entry.etag for entry in world.store.list(world.paths.root)}
    run = resolved_run(
        uid="fedcba9876543210", storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint},
        resumeFrom={"uri": world.paths.checkpoint(4)},
        stages=[{"name": "more", "maxResponseTokens": 12, "steps": 3, "resetOptimizer": True}],
    )  # fmt: skip
    fork = World(world.store, run, tmp_path / "fork")
    if fail_at is not None:
        async with fork.attempt(1, fail_at=fail_at) as first:
            with pytest.raises(RanksFailed):
                await first.loop.execute()
            with contextlib.suppress(RanksFailed):
                await first.loop.checkpoints.behind.settle()
    async with fork.attempt(2) as last:
        await last.loop.execute()
    first_done = last if fail_at is None else first
    load, publish, train = first_done.ranks.done[:3] if fail_at != 1 else (*first_done.ranks.done[:2], None)
    assert isinstance(load, Load)
    assert load.checkpoint_dir is not None
    assert (Path(load.checkpoint_dir) / "state/x.safetensors").read_text() == "state of step 4"
    assert isinstance(publish, Publish)
    assert publish.version == 0
    assert train is None or (isinstance(train, Train) and train.reset_optimizer and train.step == 1)
    draws = trained_draws(fork, 3)
    assert [draw for step in draws.values() for draw in step] == list(range(12))
    assert fork.head_step() == 3
    assert {entry.uri: entry.etag for entry in world.store.list(world.paths.root)} == before


async def test_a_checkpoint_that_is_not_whole_is_not_begun_with(
    s3: S3Server, bucket: str, tmp_path: Path, world: World
) -> None:
    """It may have been pruned since the preflight: no other attempt will find it."""
    run = resolved_run(
        storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint},
        resumeFrom={"uri": world.paths.checkpoint(4)},
    )  # fmt: skip
    async with World(world.store, run, tmp_path / "fork").attempt(1) as attempt:
        with pytest.raises(StorageRefused, match=r"step-000004 is not complete: it has no complete.json"):
            await attempt.loop.execute()
    assert attempt.ranks.done == []


def replaced_in_journal(world: World, step: int) -> list[tuple[str, int]]:
    """The draws that the journal says were replaced for a step."""
    batch = from_parquet(world.store.get_bytes(world.paths.journal(step)))
    return [(one.problem_id, one.epoch) for one in batch.replaced]


@pytest.mark.parametrize("killed_at", [None, 2, 4])
@pytest.mark.parametrize("staleness", [0, 1])
async def test_with_dynamic_sampling_a_killed_run_trains_what_an_undisturbed_one_would(
    s3: S3Server, bucket: str, tmp_path: Path, staleness: int, killed_at: int | None
) -> None:
    """A third of all draws have no signal. None of them is trained on, none is lost, and replay counts them as done."""
    run = resolved_run(
        storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint},
        algorithm={"maxStaleness": staleness, "dynamicSampling": {"maxDrawsPerPrompt": 3}},
    )
    world = World(s3.store(), run, tmp_path)
    cursor = Cursor(PROBLEMS, 0)
    alike = {cursor.draw(number): float(number % 2) for number in range(0, 60, 3)}
    asked: list[tuple[Draw, int]] = []
    replaced: dict[int, list[tuple[str, int]]] = {}

    async def attempt(number: int, fail_at: int | None) -> None:
        async with world.attempt(number, fail_at=fail_at) as one:
            one.answers.alike = alike
            one.ranks.on_train = lambda step: replaced.update({step: replaced_in_journal(world, step)})
            if fail_at is None:
                await one.loop.execute()
            else:
                with pytest.raises(RanksFailed):
                    await one.loop.execute()
                await one.loop.checkpoints.behind.settle()
            asked.extend(one.answers.drawn)
            generated = one.loop.metrics.generated._value.get()
        if fail_at is None:
            assert generated == 1 + len(replaced[5]) / 4

    if killed_at is not None:
        await attempt(1, killed_at)
    await attempt(2, None)
    used = {step: {(row["problem"], row["epoch"]) for row in samples_of(world, step)} for step in range(1, 6)}
    assert [len(draws) for draws in used.values()] == [4] * 5
    trained = [draw for draws in used.values() for draw in draws]
    not_trained = [draw for draws in replaced.values() for draw in draws]
    everything = [cursor.draw(number) for number in range(len(trained) + len(not_trained))]
    assert sorted([*trained, *not_trained]) == sorted((draw.problem_id, draw.epoch) for draw in everything)
    assert set(not_trained) == {(draw.problem_id, draw.epoch) for draw in everything if draw in alike}
    if staleness == 0:
        # Nothing is sampled twice, and each answer has the limit of the stage that trains on it or replaced it.
        assert len({draw for draw, _ in asked}) == len(asked) == len(everything)
        limits = {(draw.problem_id, draw.epoch): limit for draw, limit in asked}
        stage_of = Timetable.planned(run.stages).stage_of
        for step, draws in used.items():
            assert {limits[draw] for draw in [*draws, *replaced[step]]} == {stage_of(step).max_response_tokens}


@pytest.mark.parametrize("fail_at", [None, 1, 3, 5])
@pytest.mark.parametrize("staleness", [0, 1])
async def test_with_dynamic_sampling_a_stage_that_ends_early_trains_and_replaces_its_own_draws(
    s3: S3Server, bucket: str, tmp_path: Path, staleness: int, fail_at: int | None
) -> None:
    """A third of all draws have no signal. What replaces one is of its step's stage; all are accounted for once."""
    world = staged(s3, bucket, tmp_path, staleness, max_draws=3)
    cursor = Cursor(PROBLEMS, 0)
    alike = {cursor.draw(number): float(number % 2) for number in range(0, 90, 3)}
    replaced: dict[int, list[int]] = {}
    limits: dict[int, int] = {}
    for number, dies_at in ((1, fail_at), (2, None)):
        async with world.attempt(number, fail_at=dies_at) as attempt:
            attempt.answers.alike, attempt.answers.enough_tokens = alike, 20
            attempt.ranks.on_train = lambda step: replaced.update(
                {step: [cursor.number(Draw(*one)) for one in replaced_in_journal(world, step)]}
            )
            with pytest.raises(RanksFailed) if dies_at else contextlib.nullcontext():
                await attempt.loop.execute()
            with contextlib.suppress(RanksFailed):
                await attempt.loop.checkpoints.behind.settle()
        if number == 1:
            limits = {cursor.number(draw): limit for draw, limit in attempt.answers.drawn}
    short_steps = 2 + staleness
    total = short_steps + 3
    used = trained_draws(world, total)
    assert [len(draws) for draws in used.values()] == [4] * short_steps + [6] * 3
    done = [draw for draws in (*used.values(), *replaced.values()) for draw in draws]
    assert sorted(done) == list(range(len(done)))
    assert {draw for draws in replaced.values() for draw in draws} == {n for n in done if cursor.draw(n) in alike}
    assert [one.step for one in attempt.loop.progress.advances] == [short_steps]
    if fail_at is None:
        for step, draws in used.items():
            limit = 12 if step <= short_steps else 24
            assert {limits[draw] for draw in [*draws, *replaced[step]]} == {limit}


async def test_where_nothing_has_signal_the_bound_is_drawn_and_trained_on(s3: S3Server, bucket: str, tmp_path: Path):
    """Two draws a prompt, all of them solved by every answer: each step draws eight problems and trains on four."""
    storage = {"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint}
    run = resolved_run(storage=storage, algorithm={"dynamicSampling": {"maxDrawsPerPrompt": 2}})
    world = World(s3.store(), run, tmp_path)
    async with world.attempt(1) as attempt:
        attempt.answers.alike = {Cursor(PROBLEMS, 0).draw(number): 1.0 for number in range(40)}
        await attempt.loop.execute()
    assert attempt.ranks.trained == [(step, 8) for step in range(1, 6)]
    assert len(attempt.answers.drawn) == 40
    assert attempt.loop.state.replaced == 20
    assert attempt.loop.metrics.generated._value.get() == 2
