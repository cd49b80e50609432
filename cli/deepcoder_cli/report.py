"""`deepcoder report`: the scores of an evaluation, or two evaluations compared problem by problem."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_cli.evaluation.view import comparison_lines, scores_table
from deepcoder_data.store import ObjectStore, StoreError
from deepcoder_evaluation.compared_answers import Answers, read_answers, shares
from deepcoder_evaluation.comparison import Comparison, compare, differences
from deepcoder_evaluation.comparison_page import comparison_page
from deepcoder_evaluation.folders import LocalFolder, ResultFolder, StoredFolder
from deepcoder_evaluation.markdown import markdown_table

EXIT_REFUSED = 2


def report(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            help="One or two: a folder with report.json and samples.parquet, here or as s3://…/evaluations/NAME/UID8.",
            metavar="A [B]",
        ),
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="Of one: a table for a model card.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Of two: write them, compared problem by problem, as a page.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="URL of the S3 server from here.")] = None,
    region: Annotated[str, typer.Option(help="Region that requests are signed for.")] = "us-east-1",
) -> None:
    """Show one evaluation's scores, or which problems flipped between two and whether that is more than noise.

    Exit code 2 when one cannot be read, or the two have no problem in common.
    """
    console = Console(highlight=False, soft_wrap=True)
    refusal = _refusal(len(evaluations), markdown=markdown, html=html)
    if refusal:
        console.print(f"[red]{refusal}[/red]")
        raise typer.Exit(EXIT_REFUSED)
    folders = [_folder(one, endpoint, region) for one in evaluations]
    try:
        reports = [EvaluationReport.model_validate_json(one.get("report.json")) for one in folders]
        if len(reports) == 1:
            console.print(markdown_table(reports[0]) if markdown else scores_table(reports[0]), markup=False)
            return
        warnings = differences(*reports)
        answers = read_answers(folders[0]), read_answers(folders[1])
        comparisons = compared(*answers)
        if html is not None:
            html.write_text(comparison_page((reports[0], reports[1]), comparisons, answers, warnings))
    except (OSError, StoreError, ValidationError, ValueError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(EXIT_REFUSED) from error
    for line in warnings:
        console.print(f"[yellow]{escape(line)}[/yellow]")
    for name, found in comparisons.items():
        for line in comparison_lines(name, found):
            console.print(line, markup=False)
    if html is not None:
        console.print(f"side by side: {html}", markup=False)


def _refusal(count: int, *, markdown: bool, html: Path | None) -> str | None:
    if count > 2:
        return "two evaluations can be compared, not more"
    if count == 2 and markdown:
        return "--markdown: is for one evaluation, and two are given"
    if count == 1 and html is not None:
        return "--html: is for two evaluations; one has its page, report.html, beside its report.json"
    return None


def compared(first: Answers, second: Answers) -> dict[str, Comparison]:
    """Every benchmark that both have. Raises ValueError without any."""
    names = [name for name in first if name in second]
    if not names:
        raise ValueError(f"no benchmark in common: {', '.join(first)} and {', '.join(second)}")
    return {name: compare(shares(first[name]), shares(second[name])) for name in names}


def _folder(given: str, endpoint: str | None, region: str) -> ResultFolder:
    given = given.removesuffix("report.json").rstrip("/")
    if given.startswith("s3://"):
        return StoredFolder(ObjectStore(endpoint, region), given)
    return LocalFolder(Path(given.removeprefix("file://")))
