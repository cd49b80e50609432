"""A training run of ours, as `deepcoder run` starts it, with the servers up before the clock begins."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.trainer.cores import pinned
from benchmarks.trainer.place import Place
from benchmarks.trainer.policy_server import is_up
from benchmarks.trainer.runs import Shape, quickstart_run
from benchmarks.trainer.step_log import Step, events, steps_of
from deepcoder_api.artifacts import RunPaths
from deepcoder_api.processes import Addresses, prepare_process, rollout_process, trainer_process
from deepcoder_api.resolve import ResolvedRun
from deepcoder_cli.local.addresses import LOOPBACK, free_port, local_addresses
from deepcoder_cli.local.rollouts import LocalRollouts
from deepcoder_cli.local.supervision import LocalProcess, run_process, start_process

PREPARE_SECONDS = 1800.0
SERVER_SECONDS = 900.0
START_SECONDS = 900.0
STEP_SECONDS = 600.0
LOOK_SECONDS = 0.5
GENERATED_TOKENS = "vllm:generation_tokens_total"


@dataclass(frozen=True)
class Prepared:
    """A run whose problems are checked and whose model is on this machine. `dataset`: its URI."""

    run: ResolvedRun
    at: Addresses
    dataset: str
    orchestrator_port: int

    @property
    def state(self) -> Path:
        """The folder of all its files."""
        return Path(self.at.config_path).parent

    @property
    def logs(self) -> Path:
        """The folder of its processes' logs."""
        return self.state / "logs"


@dataclass(frozen=True)
class Generated:
    """Tokens that the rollout servers generated, used or not: while problems were rated, and while the run trained."""

    rating: int
    training: int


@dataclass(frozen=True)
class Trained:
    """A run that ended well, what its log says of its steps, and the tokens it took."""

    prepared: Prepared
    steps: list[Step]
    generated: Generated

    def checkpoint(self, step: int) -> str:
        """Where the checkpoint of a step lies in the store."""
        run = self.prepared.run
        return RunPaths(run.spec.storage.uri, run.namespace, run.name, run.uid).checkpoint(step)


def train(shape: Shape, base: Path, place: Place, sandbox: str) -> Trained:
    """Start the rollout server, prepare, then train to the last step. All that was started has ended on return.

    The server comes first, as it rates problems where the run has them rated. Raises ProcessFailedError when a process
    ends badly, TimeoutError when a wait is over.
    """
    laid_out = _laid_out(shape, base, place, sandbox)
    run, at, logs, cores = laid_out.run, laid_out.at, laid_out.logs, shape.cores
    _fetch_model(laid_out, place)
    with ExitStack() as stack:
        with pinned(cores.generation if cores else None):
            rollouts = stack.enter_context(LocalRollouts(run, at, logs, place.s3.environment, place.say))
        _await(lambda: is_up(logs / "rollout-0.log"), rollouts, SERVER_SECONDS, "the rollout server")
        before = generated_tokens(rollouts.generate_urls)
        prepared = _prepared(laid_out, place)
        rated = generated_tokens(rollouts.generate_urls)
        description = trainer_process(
            run, at, attempt=1, dataset=prepared.dataset, replica_index="0", master_address=LOOPBACK,
            host=LOOPBACK, port=prepared.orchestrator_port, weights_port=free_port(),
        )  # fmt: skip
        with pinned(cores.training if cores else None):
            trainer = start_process(description, logs, place.s3.environment)
        stack.callback(trainer.end, description.grace_seconds)
        _follow(trainer, rollouts, run.total_steps, shape.name, place)
        trainer.wait(STEP_SECONDS)
        generated = Generated(rated - before, generated_tokens(rollouts.generate_urls) - rated)
    return Trained(prepared, steps_of(_text(trainer.log)), generated)


def prepare(shape: Shape, base: Path, place: Place, sandbox: str) -> Prepared:
    """Check the problems, or find them checked, and fetch the model. Raises ProcessFailedError or TimeoutError."""
    laid_out = _laid_out(shape, base, place, sandbox)
    _fetch_model(laid_out, place)
    return _prepared(laid_out, place)


def generated_tokens(servers: Sequence[str]) -> int:
    """Tokens that these vLLM servers have generated since they began. Raises httpx.HTTPError, ValueError."""
    return sum(tokens_of(httpx.get(f"{url}/metrics", timeout=30.0, trust_env=False).text) for url in servers)


def tokens_of(metrics: str) -> int:
    """Generated tokens in the text of a vLLM server's metrics. Raises ValueError when it does not tell them."""
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    found = [sample.value for sample in samples if sample.name == GENERATED_TOKENS]
    if not found:
        raise ValueError(f"the rollout server's metrics have no {GENERATED_TOKENS}")
    return int(sum(found))


def _laid_out(shape: Shape, base: Path, place: Place, sandbox: str) -> Prepared:
    """The run with its folder and its ports; neither its model nor its dataset is there."""
    run = quickstart_run(shape, base=base, storage=place.storage, endpoint=place.s3.endpoint)
    state, port = place.folder / f"{shape.name}-{run.uid[:8]}", free_port()
    at = local_addresses(state, orchestrator_port=port, sandbox=sandbox, engine_port=free_port())
    state.mkdir(parents=True)
    Path(at.config_path).write_text(run.model_dump_json())
    return Prepared(run, at, "", port)


def _fetch_model(laid_out: Prepared, place: Place) -> None:
    for before in rollout_process(laid_out.run, laid_out.at, host=LOOPBACK).before:
        run_process(before, laid_out.logs, place.s3.environment, PREPARE_SECONDS)


def _prepared(laid_out: Prepared, place: Place) -> Prepared:
    process = prepare_process(laid_out.run, laid_out.at, port=laid_out.orchestrator_port)
    message = run_process(process, laid_out.logs, place.s3.environment, PREPARE_SECONDS)
    if message is None or message.uri is None:
        raise RuntimeError(f"prepare ended well but named no dataset (log: {laid_out.logs})")
    return dataclasses.replace(laid_out, dataset=message.uri)


def _follow(trainer: LocalProcess, rollouts: LocalRollouts, total: int, name: str, place: Place) -> None:
    """Say each step as it is done. Raises TimeoutError when one takes too long."""
    said, deadline = 0, time.monotonic() + START_SECONDS
    while trainer.running:
        rollouts.revive()
        steps = steps_of(_text(trainer.log))
        for step in steps[said:]:
            seconds = sum(step.parts.values())
            place.say(f"{name}: step {step.number} of {total}, reward {step.reward:.2f}, {seconds:.1f} s")
            deadline = time.monotonic() + STEP_SECONDS
        said = len(steps)
        if time.monotonic() > deadline:
            last = events(_text(trainer.log))[-1:]
            raise TimeoutError(f"{name}: step {said + 1} is not done in time (log: {trainer.log}, last: {last})")
        time.sleep(LOOK_SECONDS)


def _await(condition: Callable[[], bool], rollouts: LocalRollouts, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        rollouts.revive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not up after {seconds:.0f} s")
        time.sleep(LOOK_SECONDS)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return ""
