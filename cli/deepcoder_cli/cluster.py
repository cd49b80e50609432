"""TrainingRuns on the cluster of the kubeconfig, for commands that people type: what cannot be had ends the command."""

from __future__ import annotations

from typing import Any, cast

import typer
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from rich.console import Console
from urllib3.exceptions import HTTPError

GROUP, VERSION, PLURAL = "deepcoder.dev", "v1alpha1", "trainingruns"
REQUEST_SECONDS = 10


def connect(console: Console) -> tuple[client.CustomObjectsApi, str]:
    """The API of the kubeconfig's context, and its namespace. Exits with code 2 without one."""
    try:
        config.load_kube_config()
        context = config.list_kube_config_contexts()[1]
    except config.ConfigException as error:
        console.print(f"[red]no cluster: {error}[/red]; set KUBECONFIG or give ~/.kube/config")
        raise typer.Exit(2) from error
    return client.CustomObjectsApi(), context["context"].get("namespace", "default")


def read_training_run(
    api: client.CustomObjectsApi, namespace: str, name: str, console: Console
) -> dict[str, Any] | None:
    """The resource, None when the API server does not answer for the moment. Exits with code 2 where there is none."""
    try:
        return cast(
            "dict[str, Any]",
            api.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, _request_timeout=REQUEST_SECONDS),
        )
    except ApiException as error:
        if error.status == 404:
            console.print(f"[red]there is no TrainingRun {name!r} in namespace {namespace!r}[/red]")
            raise typer.Exit(2) from error
        if error.status in (401, 403):
            console.print(f"[red]not allowed to read TrainingRun {name!r} in namespace {namespace!r}[/red]")
            raise typer.Exit(2) from error
        return None
    except HTTPError:
        return None
