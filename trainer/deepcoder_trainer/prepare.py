"""`python -m deepcoder_trainer.prepare`: reads the sources, checks every problem, and writes the dataset of a run."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepcoder_api.artifacts import dataset_uri
from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.processes import CLAIM_DIRECTORY, ORCHESTRATOR_PORT
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.training_run import DataSource, ProblemSource
from deepcoder_data.causes import STORAGE_URI, cause, failure
from deepcoder_data.configuration import read_resource, work_directory
from deepcoder_data.dataset import commit_dataset, read_report
from deepcoder_data.fetch_model import fetch_tokenizer
from deepcoder_data.models import TOKENIZER_PATTERNS, matching
from deepcoder_data.source_files import NamedFile, local_files
from deepcoder_data.sources import source_digest
from deepcoder_data.store import ObjectStore, StoreError, open_store
from deepcoder_data.termination import PermanentError, run_process
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.grading import IN_FLIGHT_PER_REPLICA as ANSWERS_IN_FLIGHT_PER_REPLICA
from deepcoder_trainer.orchestrator.prompts import PromptRenderer
from deepcoder_trainer.preparation.contents import Field, SourceContent, field_of
from deepcoder_trainer.preparation.decontamination import read_benchmarks
from deepcoder_trainer.preparation.held_out import read_held_out
from deepcoder_trainer.preparation.keys import Digests, dataset_key
from deepcoder_trainer.preparation.pipeline import select
from deepcoder_trainer.preparation.rating import Rater, rating
from deepcoder_trainer.preparation.rating_conditions import RatingConditions, base_model_digest, rating_conditions
from deepcoder_trainer.preparation.report import dataset_report, difficulty_report
from deepcoder_trainer.preparation.report_page import REPORT_PAGE, report_page
from deepcoder_trainer.preparation.report_table import report_table
from deepcoder_trainer.preparation.selection import Selection
from deepcoder_trainer.preparation.tally import Tally
from deepcoder_trainer.preparation.verification import Verifier

IN_FLIGHT_PER_REPLICA = 16
log = structlog.get_logger("prepare")


@dataclass(frozen=True)
class Listening:
    """Where rollout servers report to, when problems are rated."""

    bind: str = "127.0.0.1"
    port: int = ORCHESTRATOR_PORT


def prepare(
    run: ResolvedRun, store: ObjectStore, sandbox: str, folder: Path, claim: Path = Path(CLAIM_DIRECTORY),
    listening: Listening = Listening(),
) -> TerminationMessage:  # fmt: skip
    """Make the run's dataset, or find an equal one. `folder` is for temporary files. Raises PermanentError."""
    started = time.monotonic()

    def prompt_tokens(text: str) -> int:
        return len(renderer(text).ids)

    renderer, tokenizer = _tokenizer(run, store, folder / "tokenizer", claim)
    data, validation = run.spec.data, run.spec.validation.sources if run.spec.validation else []
    with (
        _local_files(run, store, folder, "sources", data.sources) as files,
        _local_files(run, store, folder, "decontaminate", data.decontaminate) as apart,
        _local_files(run, store, folder, "validation", validation) as asked,
    ):
        digests = Digests(
            _digests(data.sources, files), _digests(data.decontaminate, apart), _digests(validation, asked)
        )
        rated = _conditions(run, store, tokenizer, claim)
        key = dataset_key(run, digests, tokenizer, rated)
        uri = dataset_uri(run.spec.storage.uri, key)
        with _storage_failures(run):
            found = read_report(store, uri)
        if found is not None:
            log.info("an equal dataset is there", uri=uri)
            return _message("Reused", uri, f"{found.problems} problems of an equal dataset, {found.verified} verified")
        output = folder / "dataset"
        output.mkdir()
        held_out = read_held_out(map(SourceContent, validation, asked), prompt_tokens, data.max_prompt_tokens)
        if held_out.problems:
            held_out.write(output)
        benchmarks = (*read_benchmarks(map(SourceContent, data.decontaminate, apart)), *held_out.benchmarks)
        selection = Selection(data, prompt_tokens, benchmarks)
        contents = list(map(SourceContent, data.sources, files))

        def rating_with(client: SandboxClient) -> AbstractAsyncContextManager[Rater | None]:
            if rated is None:
                return nullcontext()
            return rating(run, rated, store, renderer, client, bind=listening.bind, port=listening.port)

        tally = asyncio.run(_select(run, contents, selection, sandbox, output, rating_with))
    if not tally.kept:
        raise PermanentError("DataEmpty", _nothing_left(run, tally))
    hard = difficulty_report(data, rated, rated.answers_uri(run.spec.storage.uri), tally) if rated else None
    report = dataset_report(key, data, digests, tally, benchmarks, time.monotonic() - started, hard)
    (output / REPORT_PAGE).write_text(report_page(report), encoding="utf-8")
    sys.stdout.write(f"{report_table(report)}\n")
    with _storage_failures(run):
        # Another run may have prepared the same meanwhile: what is complete is never written again.
        if read_report(store, uri) is None:
            commit_dataset(store, output, uri, report)
    return _message("Prepared", uri, tally.summary())


async def _select(
    run: ResolvedRun, contents: list[SourceContent[DataSource]], selection: Selection, sandbox: str, output: Path,
    rating_with: Callable[[SandboxClient], AbstractAsyncContextManager[Rater | None]],
) -> Tally:  # fmt: skip
    replicas, difficulty = run.spec.sandbox.replicas, run.spec.data.difficulty
    # Answers may wait in the client for a grade; solutions that are run at once are held in memory with their tests.
    grades = replicas * (IN_FLIGHT_PER_REPLICA if difficulty is None else ANSWERS_IN_FLIGHT_PER_REPLICA)
    async with SandboxClient(sandbox, max_in_flight=grades) as client, rating_with(client) as rater:
        verifier = Verifier(client, run.spec.sandbox, run.spec.data)
        return await select(
            contents, selection, verifier, output,
            in_flight=IN_FLIGHT_PER_REPLICA * replicas, difficulty=difficulty, rater=rater,
        )  # fmt: skip


def _conditions(run: ResolvedRun, store: ObjectStore, tokenizer: str, claim: Path) -> RatingConditions | None:
    """Under which conditions problems are rated; None when they are not."""
    if (difficulty := run.spec.data.difficulty) is None:
        return None
    model = run.spec.model
    try:
        digest = base_model_digest(store, model.uri, model.revision, claim)
    except StoreError as error:
        raise failure(error, "spec.model.uri", model.uri, run.spec.storage, "ModelNotFound") from error
    return rating_conditions(run, difficulty, digest, tokenizer)


def _tokenizer(run: ResolvedRun, store: ObjectStore, folder: Path, claim: Path) -> tuple[PromptRenderer, str]:
    """What renders prompts, and the digest of the files that decide how."""
    model = run.spec.model
    try:
        fetch_tokenizer(store, model.uri, folder, model.revision, claim)
    except StoreError as error:
        raise failure(error, "spec.model.uri", model.uri, run.spec.storage, "ModelNotFound") from error
    try:
        renderer = PromptRenderer(folder)
    except RunChanged as error:
        problem = "the model's tokenizer has no chat template, which prompts are written by"
        raise PermanentError("NoChatTemplate", cause("spec.model.uri", model.uri, problem)) from error
    except (ValueError, OSError, KeyError) as error:
        problem = f"the tokenizer cannot be loaded: {error}"
        raise PermanentError("TokenizerInvalid", cause("spec.model.uri", model.uri, problem)) from error
    digest = hashlib.sha256()
    for name in matching([path.name for path in folder.iterdir()], TOKENIZER_PATTERNS):
        digest.update(f"{name} {_digest(folder / name)}\n".encode())
    return renderer, digest.hexdigest()


@contextmanager
def _local_files(
    run: ResolvedRun, store: ObjectStore, folder: Path, field: Field, sources: Sequence[ProblemSource]
) -> Iterator[list[list[NamedFile]]]:
    """The files of each source on this machine. Raises PermanentError that names the one that cannot be had or read."""
    with ExitStack() as stack:
        contents: list[list[NamedFile]] = []
        for source in sources:
            try:
                files = stack.enter_context(local_files(store, source.uri, folder))
            except StoreError as error:
                named = field_of(field, source)
                raise failure(error, named, source.uri, run.spec.storage, "DataNotFound") from error
            contents.append(files)
            size = sum(file.path.stat().st_size for file in files)
            log.info("source is here", source=source.name, files=len(files), bytes=size)
        yield contents


@contextmanager
def _storage_failures(run: ResolvedRun) -> Iterator[None]:
    storage = run.spec.storage
    try:
        yield
    except StoreError as error:
        raise failure(error, STORAGE_URI, storage.uri, storage, "StorageRefused") from error


def _nothing_left(run: ResolvedRun, tally: Tally) -> str:
    sources = ", ".join(source.name for source in run.spec.data.sources)
    if not tally.read:
        return cause("spec.data.sources", sources, "no problem is there: every source is empty")
    return cause("spec.data.sources", sources, f"no problem is left of {tally.read} read: {tally.drops()}")


def _message(reason: str, uri: str, said: str) -> TerminationMessage:
    return TerminationMessage(outcome="done", reason=reason, cause=said[:2048], uri=uri)


def _digests(sources: Sequence[ProblemSource], contents: Sequence[list[NamedFile]]) -> dict[str, str]:
    return {source.name: source_digest(files) for source, files in zip(sources, contents, strict=True)}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def main() -> TerminationMessage:
    """Prepare the data of the run of DEEPCODER_CONFIG."""
    parser = argparse.ArgumentParser(prog="python -m deepcoder_trainer.prepare", description=__doc__)
    parser.add_argument("--sandbox", required=True, help="URL of the grading servers")
    parser.add_argument("--port", type=int, default=ORCHESTRATOR_PORT, help="where rollout servers report to")
    parser.add_argument("--bind", default=Listening.bind, help="address to listen on, where problems are rated")
    arguments = parser.parse_args()
    run = read_resource()
    if not isinstance(run, ResolvedRun):
        raise PermanentError("WrongResource", "DEEPCODER_CONFIG holds an Evaluation; only a TrainingRun has a dataset")
    with tempfile.TemporaryDirectory(prefix="prepare-", dir=work_directory()) as folder:
        listening = Listening(arguments.bind, arguments.port)
        return prepare(run, open_store(run.spec.storage), arguments.sandbox, Path(folder), listening=listening)


if __name__ == "__main__":
    run_process(main)
