"""Figures of steps on their way to S3, behind the steps: no step waits for them, and no failure of them ends a run.

Each step's figures are an object of their own, written once, until a report holds them; then the object goes. So a
later attempt has every step's figures, whenever the one before it ended.
"""

from __future__ import annotations

import asyncio
import re

import structlog
from pydantic import ValidationError

from deepcoder_api.artifacts import RunPaths, RunReport, StepFigures
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.head import read_head
from deepcoder_data.store import ConflictError, ObjectMissingError, ObjectStore
from deepcoder_trainer.orchestrator.failures import OrchestratorError
from deepcoder_trainer.orchestrator.storage import stored
from deepcoder_trainer.run_report.figures import run_report
from deepcoder_trainer.run_report.page import run_page
from deepcoder_trainer.run_report.tensorboard import event_file
from deepcoder_trainer.tracking.links import TrackerLinks
from deepcoder_trainer.tracking.tracker import trackings

READ_SECONDS = 60.0
SETTLE_SECONDS = 30.0
_NAME = re.compile(r"/step-(\d+)\.json$")
log = structlog.get_logger("report")


class RunRecords:
    """The figures of one run as one attempt writes them. `close` must follow."""

    def __init__(
        self, store: ObjectStore, paths: RunPaths, run: ResolvedRun, attempt: int, trackers: TrackerLinks | None = None
    ) -> None:
        self._store = store
        self._paths = paths
        self._run = run
        self._attempt = attempt
        self._trackers = trackers or TrackerLinks(trackings(run))
        self._steps: dict[int, StepFigures] = {}
        self._waiting: asyncio.Queue[StepFigures | None] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None

    @property
    def steps(self) -> tuple[StepFigures, ...]:
        """What is known of the run's steps, in order."""
        return tuple(self._steps[step] for step in sorted(self._steps))

    async def take_up(self, last_step: int) -> None:
        """Read what earlier attempts left of the steps up to `last_step`. What cannot be read is done without."""
        try:
            found = await stored(self._read, "read the figures of earlier steps", READ_SECONDS)
        except OrchestratorError as failure:
            log.warning("figures of earlier steps are not shown", cause=str(failure))
            found = []
        self._steps = {figures.step: figures for figures in found if figures.step <= last_step}
        await self._trackers.open(self.steps)

    def add(self, figures: StepFigures) -> None:
        """A step is over. One that is trained again, as its batch was durable, keeps what is known of it."""
        if figures.step not in self._steps:
            self._steps[figures.step] = figures
            self._put(figures)
            self._trackers.add(figures)

    def request_report(self) -> None:
        """Write the report of the steps so far, when what came before is written."""
        self._put(None)

    async def settle(self) -> None:
        """Wait a while for what is not written yet."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._waiting.join()
        except TimeoutError:
            log.warning("not all figures were written", waiting=self._waiting.qsize())

    async def close(self, *, ended: bool = False) -> None:
        """Settle, and write no more. ended: the run has trained its last step."""
        await asyncio.gather(self._trackers.close(ended=ended), self._close_writer())

    async def _close_writer(self) -> None:
        if self._writer is None:
            return
        await self.settle()
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        self._writer = None

    def _put(self, item: StepFigures | None) -> None:
        self._waiting.put_nowait(item)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while True:
            item = await self._waiting.get()
            try:
                if item is not None:
                    await stored(lambda item=item: self._write_step(item), f"write the figures of step {item.step}")
                elif self._waiting.empty():  # else a newer report follows
                    report = run_report(self._run, self.steps)
                    await stored(lambda report=report: self._write_report(report), "write the report")
            except OrchestratorError as failure:
                log.warning("figures were not written", cause=str(failure))
            except Exception:  # a fault of ours in a page must not have every checkpoint wait for the next figures
                log.exception("figures were not written")
            finally:
                self._waiting.task_done()

    def _write_step(self, figures: StepFigures) -> None:
        try:
            content = figures.model_dump_json().encode()
            self._store.put_bytes(self._paths.step_figures(figures.step), content, if_absent=True)
        except ConflictError:
            log.info("the figures of this step are there", step=figures.step)

    def _write_report(self, report: RunReport) -> None:
        head = read_head(self._store, self._paths.head)
        if head is None or head[0].attempt != self._attempt:
            return  # a newer attempt's report has more
        self._store.put_bytes(self._paths.report, report.model_dump_json().encode())
        self._store.put_bytes(self._paths.report_page, run_page(report).encode())
        if self._run.spec.tracking.tensorboard:
            self._store.put_bytes(self._paths.event_file, event_file(report))
        last = report.steps[-1].step if report.steps else 0
        for uri, step in self._listed():
            if step <= last:
                self._store.delete(uri)

    def _read(self) -> list[StepFigures]:
        """A step's own object wins over the report: it is there because no report was finished after it."""
        found: dict[int, StepFigures] = {}
        try:
            report = RunReport.model_validate_json(self._store.get_bytes(self._paths.report))
            found = {figures.step: figures for figures in report.steps}
        except ObjectMissingError:
            pass
        except ValidationError as error:
            log.warning("the report is of another version, or damaged", cause=str(error)[:300])
        for uri, step in self._listed():
            try:
                found[step] = StepFigures.model_validate_json(self._store.get_bytes(uri))
            except ValidationError as error:
                log.warning("the figures of a step are damaged", step=step, cause=str(error)[:300])
        return list(found.values())

    def _listed(self) -> list[tuple[str, int]]:
        names = [entry.uri for entry in self._store.list(self._paths.figures)]
        return [(uri, int(match[1])) for uri in names if (match := _NAME.search(uri))]
