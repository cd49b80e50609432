"""`deepcoder run`: the same files that are applied to a cluster, as processes of this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from deepcoder_api.manifest import Resource
from deepcoder_cli.local.grading import LocalGrading
from deepcoder_cli.local.refusals import SECRET_VARIABLES, refusals
from deepcoder_cli.local.session import Session
from deepcoder_cli.local.supervision import ProcessFailedError
from deepcoder_cli.manifests import read_manifests
from deepcoder_cli.reporter import Reporter
from deepcoder_sandbox.local import LocalSandboxError

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
NOT_ISOLATED = (
    "there is no gVisor here (runsc in build/bin or in PATH, and root): programs that the model writes run natively on "
    "this machine, with your files and your kernel within their reach. Go on only with models and problems you trust."
)


def run(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of *.yaml.", metavar="FILE...")],
    state: Annotated[Path, typer.Option(help="Folder for logs, models and what a second call goes on from.")] = Path(
        "build/local"
    ),
    endpoint: Annotated[
        str | None, typer.Option(help="S3 endpoint to use in place of the files' own, such as one inside a cluster.")
    ] = None,
) -> None:
    """Run TrainingRuns and Evaluations here, one after the other. A secretName reads AWS_* and HF_TOKEN variables.

    Exit code 1 when one failed, 2 when something was refused before the start, 130 when interrupted.
    """
    reporter = Reporter(Console(highlight=False, soft_wrap=True))
    secrets = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
    resources = _accepted(paths, secrets, reporter)
    try:
        with _ended_by_signals(), LocalGrading(lambda text: reporter.say("sandbox", text)) as grading:
            if grading.isolated:
                reporter.say("sandbox", "gVisor (runsc), isolation verified from inside")
            else:
                reporter.warn(NOT_ISOLATED)
            Session(state.absolute(), grading, secrets, endpoint, reporter).execute(resources)
    except (ProcessFailedError, LocalSandboxError, TimeoutError) as error:
        reporter.refuse(str(error))
        raise typer.Exit(EXIT_FAILED) from error
    except KeyboardInterrupt as interrupt:
        reporter.refuse("interrupted: all processes have ended; the same command goes on from the last checkpoint")
        raise typer.Exit(EXIT_INTERRUPTED) from interrupt


def _accepted(paths: list[Path], secrets: Mapping[str, str], reporter: Reporter) -> tuple[Resource, ...]:
    """The resources to run. Says what is wrong and exits when anything is."""
    try:
        manifests = read_manifests(paths)
    except FileNotFoundError as error:
        reporter.refuse(str(error))
        raise typer.Exit(EXIT_REFUSED) from error
    said = [f"{fault.file} {fault.resource}: {fault.text}" for fault in manifests.faults]
    said = said or refusals(manifests.resources, secrets)
    if not said and not manifests.resources:
        said = ["no TrainingRun or Evaluation found (apiVersion deepcoder.dev/v1alpha1)"]
    for text in said:
        reporter.refuse(text)
    if said:
        raise typer.Exit(EXIT_REFUSED)
    return manifests.resources


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While inside, SIGTERM ends us as Ctrl-C does: by an exception, so that every process of ours is ended too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
