"""`deepcoder report`: the scores of an evaluation, or two evaluations compared problem by problem."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_cli.evaluation.view import comparison_lines, scores_table
from deepcoder_data.store import ObjectStore, StoreError
from deepcoder_evaluation.comparison import compare
from deepcoder_evaluation.folders import LocalFolder, ResultFolder, StoredFolder
from deepcoder_evaluation.markdown import markdown_table

EXIT_REFUSED = 2
Shares = dict[str, dict[str, float]]


def report(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            help="One or two: a folder with report.json and samples.parquet, here or as s3://…/evaluations/NAME/UID8.",
            metavar="A [B]",
        ),
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="Of one: a table for a model card.")] = False,
    endpoint: Annotated[str | None, typer.Option(help="URL of the S3 server from here.")] = None,
    region: Annotated[str, typer.Option(help="Region that requests are signed for.")] = "us-east-1",
) -> None:
    """Show one evaluation's scores, or which problems flipped between two and whether that is more than noise.

    Exit code 2 when one cannot be read, or the two have no problem in common.
    """
    console = Console(highlight=False, soft_wrap=True)
    if len(evaluations) > 2:
        console.print("[red]two evaluations can be compared, not more[/red]")
        raise typer.Exit(EXIT_REFUSED)
    folders = [_folder(one, endpoint, region) for one in evaluations]
    try:
        reports = [EvaluationReport.model_validate_json(one.get("report.json")) for one in folders]
        if len(reports) == 1:
            console.print(markdown_table(reports[0]) if markdown else scores_table(reports[0]), markup=False)
            return
        for line in differences(*reports):
            console.print(f"[yellow]{escape(line)}[/yellow]")
        lines = compared(*(_shares(one) for one in folders))
    except (StoreError, ValidationError, ValueError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(EXIT_REFUSED) from error
    for line in lines:
        console.print(line, markup=False)


def differences(first: EvaluationReport, second: EvaluationReport) -> list[str]:
    """What besides the model differs, which may be why the scores do."""
    pairs = {
        "sampling": (first.sampling, second.sampling),
        "grading profile": (first.grader.profile, second.grader.profile),
        "grading limits": (first.grader.limits, second.grader.limits),
        "engine": ((first.engine.kind, first.engine.version), (second.engine.kind, second.engine.version)),
    }
    said = [f"not only the model differs: {name}" for name, (a, b) in pairs.items() if a != b]
    digests = {one.name: one.problems_sha256 for one in first.benchmarks}
    said += [
        f"{one.name}: the problems or their tests are not the same in both"
        for one in second.benchmarks
        if digests.get(one.name, one.problems_sha256) != one.problems_sha256
    ]
    return said


def compared(first: Shares, second: Shares) -> list[str]:
    """Every benchmark that both have. Raises ValueError without any."""
    names = [name for name in first if name in second]
    if not names:
        raise ValueError(f"no benchmark in common: {', '.join(first)} and {', '.join(second)}")
    return [line for name in names for line in comparison_lines(name, compare(first[name], second[name]))]


def _shares(folder: ResultFolder) -> Shares:
    """The share of accepted answers by benchmark and problem."""
    import pyarrow.parquet as pq  # slow to import, and no other command's

    columns = ["benchmark", "problem", "verdict"]
    rows = pq.read_table(io.BytesIO(folder.get("samples.parquet")), columns=columns).to_pylist()
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["benchmark"]][row["problem"]].append(row["verdict"] == "accepted")
    return {name: {id: fmean(given) for id, given in its.items()} for name, its in found.items()}


def _folder(given: str, endpoint: str | None, region: str) -> ResultFolder:
    given = given.removesuffix("report.json").rstrip("/")
    if given.startswith("s3://"):
        return StoredFolder(ObjectStore(endpoint, region), given)
    return LocalFolder(Path(given.removeprefix("file://")))
