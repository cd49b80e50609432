"""`python -m deepcoder_trainer.preflight`: the first Job of a run, before anything expensive starts."""

from __future__ import annotations

from deepcoder_api.lifecycle import TerminationMessage
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.checkpoint_check import check_checkpoint
from deepcoder_data.checks import check_file, check_model, check_storage
from deepcoder_data.configuration import read_resource
from deepcoder_data.store import ObjectStore, open_store
from deepcoder_data.termination import PermanentError, run_process


def preflight(run: ResolvedRun, store: ObjectStore) -> str:
    """Check bucket, key, model and files of problems; returns a sentence on what is there. Raises PermanentError."""
    spec = run.spec
    check_storage(store, spec.storage)
    check_model(store, spec.storage, spec.model.uri, spec.model.revision)
    if spec.resume_from is not None:
        check_checkpoint(store, spec.storage, spec.resume_from.uri, spec.model)
    for source in spec.data.sources:
        check_file(store, spec.storage, source.uri, field=f"spec.data.sources[{source.name}].uri")
    for source in spec.data.decontaminate:
        check_file(store, spec.storage, source.uri, field=f"spec.data.decontaminate[{source.name}].uri")
    held_out = spec.validation.sources if spec.validation else []
    for source in held_out:
        check_file(store, spec.storage, source.uri, field=f"spec.validation.sources[{source.name}].uri")
    files = len(spec.data.sources) + len(spec.data.decontaminate) + len(held_out)
    return f"the model, the bucket and {files} file(s) of problems are there"


def main() -> TerminationMessage:
    """Check the run of DEEPCODER_CONFIG."""
    run = read_resource()
    if not isinstance(run, ResolvedRun):
        raise PermanentError("WrongResource", "DEEPCODER_CONFIG holds an Evaluation; this is a TrainingRun's preflight")
    return TerminationMessage(outcome="done", reason="Checked", cause=preflight(run, open_store(run.spec.storage)))


if __name__ == "__main__":
    run_process(main)
