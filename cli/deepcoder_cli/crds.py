"""`deepcoder crds`: the CustomResourceDefinitions, generated from the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepcoder_api.crd import crd_documents


def crds(
    output: Annotated[Path | None, typer.Option(help="Folder to write to; standard output without it.")] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; exit code 1 when the folder's files differ.")] = False,
) -> None:
    """Write the CustomResourceDefinitions."""
    documents = crd_documents()
    if output is None:
        typer.echo("---\n".join(documents.values()), nl=False)
        return
    if check:
        stale = [name for name, text in documents.items() if not _holds(output / name, text)]
        if stale:
            typer.echo(f"not fresh: {', '.join(stale)}; run `deepcoder crds --output {output}`", err=True)
            raise typer.Exit(1)
        return
    output.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (output / name).write_text(text)
        typer.echo(f"wrote {output / name}")


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text
