"""`deepcoder watch`: a TrainingRun on the cluster, live in the terminal, until it ends."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from kubernetes import client
from rich.console import Console
from rich.live import Live

from deepcoder_cli.cluster import connect, read_training_run
from deepcoder_cli.progress import RunView, advance_text, line, render

ENDED = frozenset({"Succeeded", "Failed"})


def watch(
    name: Annotated[str, typer.Argument(help="The TrainingRun.")],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Its namespace; the kubeconfig's own without it.")
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between looks.", min=0.2)] = 1.0,
    deadline: Annotated[float | None, typer.Option(help="Give up after this many seconds.")] = None,
) -> None:
    """Show phase, stage, step, reward and more until the run ends. Exit code 1 when it failed, 3 at the deadline."""
    console = Console(highlight=False)
    api, own_namespace = connect(console)
    where = namespace or own_namespace
    until = None if deadline is None else time.monotonic() + deadline
    last = ""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            view = _look(api, where, name, console)
            if view is not None:
                if console.is_terminal:
                    live.update(render(view), refresh=True)
                elif line(view) != last:
                    last = line(view)
                    console.print(last, soft_wrap=True)
                if view.phase in ENDED:
                    break
            if until is not None and time.monotonic() > until:
                console.print(f"{name} has not ended after {deadline:.0f} s")
                raise typer.Exit(3)
            time.sleep(interval)
    if console.is_terminal:
        console.print(render(view))
    raise typer.Exit(0 if view.phase == "Succeeded" else 1)


def _look(api: client.CustomObjectsApi, namespace: str, name: str, console: Console) -> RunView | None:
    """The run now, or None when the API server does not answer for the moment."""
    body = read_training_run(api, namespace, name, console)
    return None if body is None else view_of_status(name, body.get("status") or {}, datetime.now(UTC))


def view_of_status(name: str, status: dict[str, Any], now: datetime) -> RunView:
    """The view of a status as the API server gives it."""
    left = None
    if status.get("estimatedCompletion") and status.get("phase") not in ENDED:
        left = (datetime.fromisoformat(status["estimatedCompletion"]) - now).total_seconds()
    checkpoint = (status.get("lastCheckpoint") or {}).get("uri")
    return RunView(
        name=name,
        phase=status.get("phase", "Pending"),
        stage=status.get("stage"),
        step=status.get("step"),
        total_steps=status.get("totalSteps"),
        reward=status.get("reward"),
        truncated_fraction=status.get("truncatedFraction"),
        tokens_per_second=status.get("tokensPerSecond"),
        seconds_left=left,
        policy_version=status.get("policyVersion"),
        attempt=status.get("attempt"),
        checkpoint=checkpoint,
        validation=_values(status.get("validation"), "step", "score"),
        best_checkpoint=_values(status.get("bestCheckpoint"), "uri", "score"),
        advances=tuple(advance_text(one["stage"], one["step"], one["reason"]) for one in status.get("advances", ())),
        message=status.get("message", ""),
    )


def _values(part: dict[str, Any] | None, *names: str) -> Any:
    """The values of a part of a status, None when it is not there."""
    return tuple(part[name] for name in names) if part else None
