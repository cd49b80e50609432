"""`python -m deepcoder_evaluation.preflight`: the first Job of an evaluation, before anything expensive starts."""

from __future__ import annotations

import asyncio
import os

import structlog

from deepcoder_api.artifacts import EvaluationPaths
from deepcoder_api.evaluation import EndpointModel
from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.lifecycle import FINISHED, TerminationMessage
from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_api.specification import StorageSpec
from deepcoder_data.causes import cause, failure
from deepcoder_data.checks import check_file, check_model, check_storage
from deepcoder_data.configuration import read_resource
from deepcoder_data.store import ObjectStore, StoreError, open_store
from deepcoder_data.termination import PermanentError, RetryableError, run_process
from deepcoder_evaluation.benchmarks.loading import load_benchmark
from deepcoder_evaluation.benchmarks.registry import kinds
from deepcoder_evaluation.chat import EngineError
from deepcoder_evaluation.engines import KEY_VARIABLE, Engines, check_address
from deepcoder_evaluation.finished import finished_report
from deepcoder_evaluation.folders import StoredFolder
from deepcoder_evaluation.holding import hold_of, release, take
from deepcoder_evaluation.job import job_of
from deepcoder_evaluation.reports import status_scores

ADDRESS_SECONDS = 60.0
log = structlog.get_logger("preflight")


def preflight(evaluation: ResolvedEvaluation, store: ObjectStore) -> str:
    """Check bucket, key, model and every row of every benchmark; returns a sentence. Raises PermanentError.

    A checkpoint is held before it is looked at, so that what was seen to be there stays.
    """
    check_storage(store, evaluation.spec.storage)
    hold = hold_of(evaluation, store)
    take(hold)
    try:
        return _check(evaluation, store)
    except RetryableError:
        raise
    except PermanentError:
        release(hold)
        raise


def _check(evaluation: ResolvedEvaluation, store: ObjectStore) -> str:
    spec = evaluation.spec
    if spec.model.endpoint is not None:
        _check_endpoint(evaluation, spec.model.endpoint)
    else:
        field = "spec.model.uri" if spec.model.uri is not None else "spec.model.trainingRun"
        check_model(store, spec.storage, evaluation.model_uri, field=field)
    problems = sum(_problems(store, spec.storage, benchmark) for benchmark in spec.benchmarks)
    return f"the model, the bucket and {problems} problems of {len(spec.benchmarks)} benchmark(s) are there"


def _check_endpoint(evaluation: ResolvedEvaluation, endpoint: EndpointModel) -> None:
    """The address answers, takes the key and serves the model."""
    engines = Engines(endpoint.url, foreign=True, key=os.environ.get(KEY_VARIABLE))
    try:
        asyncio.run(check_address(engines, job_of(evaluation), ADDRESS_SECONDS))
    except EngineError as error:
        kind = RetryableError if error.retryable else PermanentError
        raise kind("EndpointNotReady", cause("spec.model.endpoint.url", endpoint.url, str(error))) from error


def _problems(store: ObjectStore, storage: StorageSpec, benchmark: Benchmark) -> int:
    """Problems of a benchmark. One that cannot be scored is found here, not when the engine has started."""
    field = f"spec.benchmarks[{benchmark.name}]"
    for uri in kinds()[benchmark.kind].uris(benchmark):
        check_file(store, storage, uri, field=f"{field}.uri")
    for name, uri in (("ratingsUri", benchmark.ratings_uri), ("standingsUri", benchmark.standings_uri)):
        if uri is not None:
            check_file(store, storage, uri, field=f"{field}.{name}")
    try:
        return len(load_benchmark(store, benchmark).problems)
    except StoreError as error:
        raise failure(error, f"{field}.uri", benchmark.uri, storage, "DataNotFound") from error
    except ValueError as error:
        message = str(error).removeprefix(f"{benchmark.uri}: ")
        raise PermanentError("DataInvalid", cause(f"{field}.uri", benchmark.uri, message)) from error


def finished(evaluation: ResolvedEvaluation, store: ObjectStore) -> TerminationMessage | None:
    """The end of an evaluation whose report is there already: nothing needs to start. What cannot be told is None."""
    paths = EvaluationPaths(evaluation.spec.storage.uri, evaluation.namespace, evaluation.name, evaluation.uid)
    foreign = evaluation.spec.model.endpoint is not None
    try:
        report = finished_report(job_of(evaluation), store, StoredFolder(store, paths.root), foreign=foreign)
    except StoreError as error:
        log.warning("it cannot be told whether the evaluation is finished", error=str(error))
        return None
    if report is None:
        return None
    release(hold_of(evaluation, store))
    return TerminationMessage(outcome="done", reason=FINISHED, uri=paths.report, scores=status_scores(report))


def main() -> TerminationMessage:
    """Check the evaluation of DEEPCODER_CONFIG."""
    evaluation = read_resource()
    if not isinstance(evaluation, ResolvedEvaluation):
        raise PermanentError("WrongResource", "DEEPCODER_CONFIG holds a TrainingRun; this is an Evaluation's preflight")
    store = open_store(evaluation.spec.storage)
    checked = preflight(evaluation, store)
    return finished(evaluation, store) or TerminationMessage(outcome="done", reason="Checked", cause=checked)


if __name__ == "__main__":
    run_process(main)
