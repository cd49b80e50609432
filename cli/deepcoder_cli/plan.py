"""`deepcoder plan`: what a TrainingRun would start and need, and whether it can fit, before anything is applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from deepcoder_api.manifest import TrainingRunResource
from deepcoder_api.planning.model_shape import ModelShape, ModelShapeError, model_shape
from deepcoder_api.planning.plan_models import GIB, RunPlan
from deepcoder_api.planning.run_plan import plan_run
from deepcoder_cli.manifests import read_manifests
from deepcoder_cli.plan_view import plan_view

EXIT_REFUSED = 1
EXIT_UNREADABLE = 2


def plan(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of *.yaml.", metavar="FILE...")],
    gpu_memory_gib: Annotated[float, typer.Option(help="Memory of one GPU, in GiB.", min=1, max=4096)] = 80,
    model_config: Annotated[
        Path | None,
        typer.Option(help="The model's config.json, in place of the one at spec.model.uri.", metavar="FILE"),
    ] = None,
    output: Annotated[Literal["text", "json"], typer.Option(help="text for people, json for programs.")] = "text",
    endpoint: Annotated[
        str | None, typer.Option(help="S3 endpoint to use in place of the files' own, such as one inside a cluster.")
    ] = None,
) -> None:
    """Show the pods, GPUs, steps, tokens and GPU memory of TrainingRuns. Nothing is started, no weights are fetched.

    Of the model only config.json is read. Exit code 1 when a run cannot fit, 2 when a file or a model cannot be read.
    """
    console, err = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)
    plans: list[RunPlan] = []
    for resource in _runs(paths, err):
        try:
            shape = _shape(resource, model_config, endpoint)
        except _UnreadableModelError as error:
            err.print(f"[red]✗[/red] TrainingRun/{resource.metadata.name}: {escape(str(error))}")
            raise typer.Exit(EXIT_UNREADABLE) from error
        plans.append(plan_run(resource.resolved(), shape, int(gpu_memory_gib * GIB)))
    if output == "json":
        typer.echo(json.dumps({"runs": [one.model_dump(mode="json") for one in plans]}, indent=2))
    else:
        for one in plans:
            console.print(plan_view(one))
    for one in plans:
        for refusal in one.refusals:
            err.print(f"[red]✗[/red] TrainingRun/{one.name}: {escape(str(refusal))}")
    if any(one.refusals for one in plans):
        raise typer.Exit(EXIT_REFUSED)


class _UnreadableModelError(Exception):
    """The model's shape cannot be had; says the field and what to do."""


def _runs(paths: list[Path], err: Console) -> list[TrainingRunResource]:
    """The TrainingRuns of the files. Says what is wrong and exits when anything is, or there is none."""
    try:
        manifests = read_manifests(paths)
    except FileNotFoundError as error:
        err.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(EXIT_UNREADABLE) from error
    for fault in manifests.faults:
        err.print(f"[red]✗[/red] {escape(f'{fault.file} {fault.resource}: {fault.text}')}")
    runs = [resource for resource in manifests.resources if isinstance(resource, TrainingRunResource)]
    if not runs and not manifests.faults:
        err.print("[red]no TrainingRun found[/red] (apiVersion deepcoder.dev/v1alpha1)")
    if manifests.faults or not runs:
        raise typer.Exit(EXIT_UNREADABLE)
    return runs


def _shape(resource: TrainingRunResource, file: Path | None, endpoint: str | None) -> ModelShape:
    # Slow to import, and the other commands do without.
    from deepcoder_data.model_config import ModelConfigError, parse_model_config, read_model_config
    from deepcoder_data.store import ObjectStore, StoreError

    model, storage = resource.spec.model, resource.spec.storage
    named, value = ("--model-config", str(file)) if file else ("spec.model.uri", model.uri)
    try:
        if file is not None:
            return model_shape(parse_model_config(file.read_bytes()))
        if model.uri.startswith("pvc://"):
            raise ModelConfigError("a claim is a cluster's: give its config.json by --model-config")
        store = ObjectStore(endpoint or storage.endpoint, storage.region)
        return model_shape(read_model_config(store, model.uri, model.revision))
    except (StoreError, ModelConfigError, ModelShapeError, OSError) as error:
        hint = "" if file or "--model-config" in str(error) else "; --model-config FILE takes a config.json from here"
        raise _UnreadableModelError(f'{named}: "{value}": {error}{hint}') from error
