"""Whether an evaluation is finished already: its report lies in its folder, and is of this very evaluation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from pydantic import ValidationError

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_data.models import model_digest
from deepcoder_data.store import ObjectMissingError, ObjectStore
from deepcoder_evaluation.benchmarks.loading import load_benchmark
from deepcoder_evaluation.folders import ResultFolder
from deepcoder_evaluation.job import EvaluationJob
from deepcoder_evaluation.reports import is_of, measured_model
from deepcoder_evaluation.tokenizers_of_models import tokenizer_of

REPORT = "report.json"
log = structlog.get_logger("finished")


def earlier_report(folder: ResultFolder) -> EvaluationReport | None:
    """The report that lies in the folder, of whatever it is. Raises StoreError."""
    try:
        return EvaluationReport.model_validate_json(folder.get(REPORT))
    except ObjectMissingError:
        return None
    except ValidationError:
        log.warning("the report that is there cannot be read and is made again", uri=f"{folder.uri}/{REPORT}")
        return None


def finished_report(
    job: EvaluationJob, store: ObjectStore, folder: ResultFolder, *, foreign: bool
) -> EvaluationReport | None:
    """The report of this very evaluation, where it is there: benchmarks, model and rules are looked at again.

    `foreign` as in Engines. Raises StoreError, or ValueError for a malformed benchmark.
    """
    earlier = earlier_report(folder)
    if earlier is None:
        return None
    benchmarks = [load_benchmark(store, one) for one in job.benchmarks]
    digest = None if foreign else model_digest(store, job.model)
    with TemporaryDirectory(prefix="deepcoder-tokenizer-") as work:
        model = measured_model(job, digest, tokenizer_of(store, job, Path(work)))
    return earlier if is_of(earlier, job, benchmarks, model) else None
