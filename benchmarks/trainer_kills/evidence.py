"""What a run that has ended has left: in the store, past the faulty way, in its logs, and on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from benchmarks.trainer.step_log import events
from benchmarks.trainer_kills import targets
from benchmarks.trainer_kills.accounting import Evidence, StepDone
from benchmarks.trainer_kills.journal_watch import JournalWatch
from benchmarks.trainer_kills.rows import Row, rows
from deepcoder_api.artifacts import RunPaths, RunReport
from deepcoder_data.dataset import load_problems
from deepcoder_data.folders import download_folder, read_completion
from deepcoder_data.head import read_head
from deepcoder_data.store import ObjectMissingError, ObjectStore, StoreError
from deepcoder_trainer.orchestrator.cursor import Cursor
from deepcoder_trainer.orchestrator.resume import RunState

SHARED_MEMORY = Path("/dev/shm")
_STEP = re.compile(r"/step-(\d+)")


def gather(
    store: ObjectStore, paths: RunPaths, watch: JournalWatch, *, state: Path, attempts: int, last: int, scratch: Path
) -> Evidence:
    """All of it. `last` is the step of the checkpoint that must be there. Raises StoreError when it is not."""
    run_state = RunState.model_validate_json(store.get_bytes(f"{paths.checkpoint(last)}/state.json"))
    head = read_head(store, paths.head)
    logged = [event for log in (state / "runs" / paths.name / "logs").glob("trainer*.log") for event in _events(log)]
    report = RunReport.model_validate_json(store.get_bytes(paths.report))
    return Evidence(
        attempts=attempts,
        head=head[0] if head else None,
        state=run_state,
        cursor=Cursor(list(load_problems(store, run_state.dataset)), seed=0),
        samples=dict(_samples(store, paths)),
        journal=watch.entries,
        journal_left=sorted(_steps(store, f"{paths.root}/journal")),
        checkpoints=sorted(_complete(store, paths)),
        reported=[figures.step for figures in report.steps],
        taken_up=[event["step"] for event in logged if event.get("event") == "taking up"],
        done=[
            StepDone(event["step"], event["reward"], event["answer_tokens"])
            for event in logged
            if event.get("event") == "step done"
        ],
        faults=[
            *watch.rewritten,
            *_damages(store, paths, scratch),
            *_half_written(store, paths),
            *_left_over(state, paths.uid),
        ],
    )


def _events(log: Path) -> list[dict]:
    return events(log.read_text(errors="replace"))


def _samples(store: ObjectStore, paths: RunPaths) -> Iterator[tuple[int, Sequence[Row]]]:
    for step in _steps(store, f"{paths.root}/samples"):
        yield step, rows(store.get_bytes(paths.samples(step)))


def _steps(store: ObjectStore, folder: str) -> set[int]:
    return {int(match[1]) for entry in store.list(folder) if (match := _STEP.search(entry.uri.removeprefix(folder)))}


def _complete(store: ObjectStore, paths: RunPaths) -> Iterator[int]:
    for step in _steps(store, paths.checkpoints):
        if read_completion(store, paths.checkpoint(step)) is not None:
            yield step


def _damages(store: ObjectStore, paths: RunPaths, scratch: Path) -> Iterator[str]:
    """Every file of every complete checkpoint against its checksum, and every weight of every model."""
    for step in sorted(_complete(store, paths)):
        folder = scratch / f"step-{step}"
        try:
            download_folder(store, paths.checkpoint(step), folder)
            model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
        except (StoreError, ObjectMissingError, OSError, ValueError) as error:
            yield f"the checkpoint of step {step} is not whole: {error}"
            continue
        broken = [name for name, weight in model.named_parameters() if not bool(torch.isfinite(weight).all())]
        if broken:
            yield f"the model of step {step} has weights that are no numbers: {broken}"


def _half_written(store: ObjectStore, paths: RunPaths) -> Iterator[str]:
    complete = set(_complete(store, paths))
    yield from (
        f"step {step}: a checkpoint that is not complete" for step in _steps(store, paths.checkpoints) - complete
    )
    yield from (f"an upload that was never finished: {uri}" for uri, _ in store.incomplete_uploads(paths.root))


def _left_over(state: Path, uid: str) -> Iterator[str]:
    yield from (f"a process is left: {line[:200]}" for line in targets.naming(str(state)))
    for pattern in (f"deepcoder-weights-{uid[:8]}*", f"deepcoder-weights/*{uid[:8]}*"):
        yield from (f"weights are left in memory: {folder}" for folder in SHARED_MEMORY.glob(pattern))
