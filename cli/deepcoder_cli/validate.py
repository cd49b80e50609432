"""`deepcoder validate`: what the API server and the operator would refuse, said before anything is applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deepcoder_cli.manifests import read_manifests


def validate(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of *.yaml.", metavar="FILE...")],
) -> None:
    """Check TrainingRun and Evaluation files without a cluster. Exit code 1 when something is wrong."""
    out, err = Console(), Console(stderr=True)
    try:
        manifests = read_manifests(paths)
    except FileNotFoundError as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    for fault in manifests.faults:
        fault_text = escape(f"{fault.file} {fault.resource}: {fault.text}")  # a pattern such as [a-z] is no markup
        err.print(f"[red]✗[/red] {fault_text}", highlight=False, soft_wrap=True)
    for resource in manifests.resources:
        out.print(f"[green]✓[/green] {resource.kind}/{resource.metadata.name}", highlight=False)
    if manifests.faults:
        raise typer.Exit(1)
    if not manifests.resources:
        err.print("[red]no TrainingRun or Evaluation found[/red] (apiVersion deepcoder.dev/v1alpha1)")
        raise typer.Exit(1)
