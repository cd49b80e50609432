"""`deepcoder samples`: the answers of a step, with verdicts and rewards, as they lie in S3."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.grading import Verdict
from deepcoder_cli.cluster import connect, read_training_run
from deepcoder_data.store import ObjectMissingError, ObjectStore, StoreError

COLUMNS = [
    "problem",
    "prompt",
    "answer",
    "answer_ids",
    "versions",
    "finish_reason",
    "verdict",
    "test_verdicts",
    "reward",
]
SHORT_LINES = 30
Row = dict[str, Any]


def samples(
    run: Annotated[
        str,
        typer.Argument(help="A TrainingRun on the cluster, or where its things lie: s3://…/runs/NAMESPACE/NAME/UID8."),
    ],
    step: Annotated[int | None, typer.Option(help="The step, counted from 1; the last one without it.", min=1)] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only answers with this verdict.")] = None,
    problem: Annotated[str | None, typer.Option(help="Only answers to this problem.")] = None,
    limit: Annotated[int, typer.Option(help="Answers that are shown whole; the table counts all.", min=0)] = 3,
    full: Annotated[
        bool, typer.Option(help=f"All of a prompt and an answer, not their last {SHORT_LINES} lines.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The run's namespace; the kubeconfig's own without it.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="URL of the S3 server from here, if it is another.")] = None,
    region: Annotated[str, typer.Option(help="Region that requests are signed for.")] = "us-east-1",
) -> None:
    """Read a step's answers. Credentials are AWS_* variables, or what boto3 finds. Exit code 2 when there are none."""
    import pyarrow.parquet as pq  # slow to import, and no other command's

    console = Console(highlight=False)
    root, its_endpoint = (run.rstrip("/"), None) if run.startswith("s3://") else _on_cluster(run, namespace, console)
    store = ObjectStore(endpoint or its_endpoint, region)
    try:
        number = step or _last_step(store, root)
        content = store.get_bytes(f"{root}/samples/step-{number:06d}.parquet")
    except ObjectMissingError as error:
        console.print(f"[red]{escape(str(error))}[/red]; the run has no samples of that step")
        raise typer.Exit(2) from error
    except StoreError as error:
        console.print(f"[red]{escape(str(error))}[/red]; --endpoint says where the S3 server is from here")
        raise typer.Exit(2) from error
    rows = pq.read_table(io.BytesIO(content), columns=COLUMNS).to_pylist()
    chosen = [row for row in rows if _matches(row, verdict, problem)]
    console.print(summary(number, rows))
    for row in chosen[:limit]:
        _show(console, row, full=full)
    if len(chosen) > limit:
        console.print(f"[dim]{len(chosen) - limit} more of {len(rows)}: --limit, --verdict, --problem, --full[/dim]")


def summary(step: int, rows: Sequence[Row]) -> Table:
    """One line a verdict: how many answers, their reward and their length."""
    table = Table(title=f"step {step}: {len(rows)} answers to {len({row['problem'] for row in rows})} problems")
    for name in ("verdict", "answers", "share", "mean reward", "mean tokens", "cut at the limit"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for verdict, count in Counter(row["verdict"] for row in rows).most_common():
        its = [row for row in rows if row["verdict"] == verdict]
        table.add_row(
            verdict,
            str(count),
            f"{count / len(rows):.0%}",
            f"{sum(row['reward'] for row in its) / count:.2f}",
            f"{sum(len(row['answer_ids']) for row in its) / count:.0f}",
            str(sum(row["finish_reason"] == "length" for row in its)),
        )
    return table


def shortened(text: str, lines: int) -> str:
    """The last lines of a text, where an answer's program is; says how many are left out."""
    all_lines = text.splitlines()
    left_out = len(all_lines) - lines
    return text if left_out <= 0 else "\n".join([f"… {left_out} lines before", *all_lines[-lines:]])


def _matches(row: Row, verdict: Verdict | None, problem: str | None) -> bool:
    return (verdict is None or row["verdict"] == verdict) and (problem is None or row["problem"] == problem)


def _show(console: Console, row: Row, *, full: bool) -> None:
    accepted = row["verdict"] == Verdict.ACCEPTED
    versions = sorted(set(row["versions"]))
    tests = Counter(row["test_verdicts"])
    console.print(Rule(f"[bold]{escape(row['problem'])}[/bold]", align="left"))
    console.print(
        f"[{'green' if accepted else 'red'}]{row['verdict']}[/] · reward {row['reward']:g} · "
        f"{len(row['answer_ids'])} tokens, {row['finish_reason']} · weights {', '.join(map(str, versions))} · tests "
        + (", ".join(f"{count} {name}" for name, count in tests.items()) or "none run")
    )
    for name, style in (("prompt", "dim"), ("answer", "")):
        text = row[name] if full else shortened(row[name], SHORT_LINES)
        console.print(Text(name, style="italic"))
        console.print(Padding(Text(text, style=style), (0, 0, 1, 2)))


def _on_cluster(name: str, namespace: str | None, console: Console) -> tuple[str, str | None]:
    """Where a run's things lie, and the S3 server as the cluster sees it. Exits when there is no such run."""
    api, own_namespace = connect(console)
    body = read_training_run(api, namespace or own_namespace, name, console)
    if body is None:
        console.print("[red]the API server does not answer[/red]")
        raise typer.Exit(2)
    storage, meta = body["spec"]["storage"], body["metadata"]
    paths = RunPaths(storage["uri"], meta["namespace"], meta["name"], meta["uid"])
    return paths.root, storage.get("endpoint")


def _last_step(store: ObjectStore, root: str) -> int:
    names = sorted(entry.uri for entry in store.list(f"{root}/samples"))
    if not names:
        raise ObjectMissingError(f"{root}/samples: there is no such object")
    return int(names[-1].rpartition("step-")[2].removesuffix(".parquet"))
