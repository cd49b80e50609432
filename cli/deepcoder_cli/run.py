"""`deepcoder run`: the same files that are applied to a cluster, as processes of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deepcoder_api.lifecycle import EvaluationProgress, Progress
from deepcoder_api.manifest import EvaluationResource, TrainingRunResource
from deepcoder_api.resolve import ResolvedEvaluation, resolve_run
from deepcoder_cli.local.evaluation import LocalEvaluation
from deepcoder_cli.local.supervision import ProcessFailedError
from deepcoder_cli.local.training import LocalTrainingRun, local_uid
from deepcoder_cli.manifests import read_manifests
from deepcoder_cli.progress import RunView, line
from deepcoder_sandbox.local import start_local_sandbox

NAMESPACE = "local"
SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN")

console = Console(highlight=False, soft_wrap=True)


def run(
    paths: Annotated[list[Path], typer.Argument(help="Files, or a folder of *.yaml.", metavar="FILE...")],
    state: Annotated[Path, typer.Option(help="Folder for logs, models and what a second call goes on from.")] = Path(
        "build/local"
    ),
    endpoint: Annotated[
        str | None, typer.Option(help="S3 endpoint to use in place of the files' own, such as one inside a cluster.")
    ] = None,
) -> None:
    """Run TrainingRuns and Evaluations here, one after the other. A secretName reads AWS_* and HF_TOKEN variables."""
    manifests = read_manifests(paths)
    for fault in manifests.faults:
        console.print(f"[red]✗[/red] {fault.file} {fault.resource}: {fault.text}")
    if manifests.faults or not manifests.resources:
        raise typer.Exit(1)
    for resource in manifests.resources:
        _refuse_what_needs_a_cluster(resource)
    secrets = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
    models: dict[str, str] = {}
    try:
        with start_local_sandbox(state / "sandbox", warn=_warn) as sandbox:
            for resource in _in_order(manifests.resources):
                if isinstance(resource, TrainingRunResource):
                    _train(resource, state, sandbox, secrets, endpoint, models)
                else:
                    _evaluate(resource, state, sandbox, secrets, endpoint, models)
    except (ProcessFailedError, TimeoutError) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except KeyError as error:
        console.print(f"[red]secretName: the variable {error.args[0]} stands in for the Secret here; set it[/red]")
        raise typer.Exit(2) from error


def _train(
    resource: TrainingRunResource,
    state: Path,
    sandbox: str,
    secrets: dict[str, str],
    endpoint: str | None,
    models: dict[str, str],
) -> None:
    name = resource.metadata.name
    folder = state / "runs" / name
    spec = resource.spec
    if endpoint:
        spec = spec.model_copy(update={"storage": spec.storage.model_copy(update={"endpoint": endpoint})})
    last: list[int] = []

    def show(progress: Progress) -> None:
        if [progress.step] != last:
            last[:] = [progress.step]
            console.print(line(_view(name, progress)))

    run = resolve_run(NAMESPACE, name, local_uid(folder), spec)
    result = LocalTrainingRun(run, folder, sandbox, secrets, lambda text: _say(name, text), show).execute()
    models[name] = result.model_uri
    _say(name, f"[green]Succeeded[/green], model at {result.model_uri}")


def _evaluate(
    resource: EvaluationResource,
    state: Path,
    sandbox: str,
    secrets: dict[str, str],
    endpoint: str | None,
    models: dict[str, str],
) -> None:
    name = resource.metadata.name
    folder = state / "evaluations" / name
    spec = resource.spec
    if endpoint:
        spec = spec.model_copy(update={"storage": spec.storage.model_copy(update={"endpoint": endpoint})})
    source = spec.model.training_run
    if source is not None and source.name not in models:
        console.print(f"[red]{name}: spec.model.trainingRun.name: {source.name!r} is not among the given files[/red]")
        raise typer.Exit(1)
    uri = models[source.name] if source is not None else spec.model.uri
    if uri is None:
        raise AssertionError("unreachable: a model is a uri or a training run")
    evaluation = ResolvedEvaluation(
        namespace=NAMESPACE, name=name, uid=local_uid(folder), spec=spec, model_uri=uri, model_name=name
    )
    last: list[int] = [-1]

    def show(progress: EvaluationProgress) -> None:
        if progress.answered >= last[0] + max(1, progress.total // 10):
            last[0] = progress.answered
            console.print(f"{name}: {progress.answered} of {progress.total} graded, {progress.passed} accepted")

    message = LocalEvaluation(evaluation, folder, sandbox, secrets, lambda text: _say(name, text), show).execute()
    for score in message.scores or ():
        _say(name, f"[green]{score.name}: pass@1 {score.pass_at_1:.3f}[/green] over {score.problems} problems")
    _say(name, f"report at {message.uri}")


def _in_order(
    resources: tuple[TrainingRunResource | EvaluationResource, ...],
) -> list[TrainingRunResource | EvaluationResource]:
    # Evaluations of given models first, then the runs, then the evaluations of what the runs made.
    def rank(resource: TrainingRunResource | EvaluationResource) -> int:
        if isinstance(resource, TrainingRunResource):
            return 1
        return 2 if resource.spec.model.training_run is not None else 0

    return sorted(resources, key=rank)


def _refuse_what_needs_a_cluster(resource: TrainingRunResource | EvaluationResource) -> None:
    uri = resource.spec.model.uri
    if uri is not None and uri.startswith("pvc://"):
        console.print(
            f"[red]{resource.metadata.name}: spec.model.uri: {uri}: a pvc:// model needs a cluster; "
            "use s3://, hf:// or file:// here[/red]"
        )
        raise typer.Exit(2)


def _view(name: str, progress: Progress) -> RunView:
    left = None
    if progress.seconds_per_step is not None:
        left = progress.seconds_per_step * (progress.total_steps - progress.step)
    return RunView(
        name=name,
        phase=progress.state,
        stage=progress.stage,
        step=progress.step,
        total_steps=progress.total_steps,
        reward=progress.reward,
        truncated_fraction=progress.truncated_fraction,
        tokens_per_second=progress.tokens_per_second,
        seconds_left=left,
        policy_version=progress.policy_version,
        attempt=progress.attempt,
        checkpoint=progress.checkpoint_uri,
        message=progress.message,
    )


def _say(name: str, text: str) -> None:
    console.print(f"{name}: {text}")


def _warn(text: str) -> None:
    console.print(f"[bold yellow]WARNING: {text}[/bold yellow]")
