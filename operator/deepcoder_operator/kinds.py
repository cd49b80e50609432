"""The kinds of objects that the operator deals with, and where the API server serves them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from deepcoder_api.manifest import API_VERSION, GROUP

RESOURCES = ("TrainingRun", "Evaluation")
CHILDREN = (
    "Job",
    "Deployment",
    "Pod",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "NetworkPolicy",
    "PodDisruptionBudget",
)


@dataclass(frozen=True, slots=True)
class Served:
    """Where a kind is served."""

    api_version: str
    plural: str


SERVED: dict[str, Served] = {
    "TrainingRun": Served(API_VERSION, "trainingruns"),
    "Evaluation": Served(API_VERSION, "evaluations"),
    "Job": Served("batch/v1", "jobs"),
    "Deployment": Served("apps/v1", "deployments"),
    "Pod": Served("v1", "pods"),
    "Service": Served("v1", "services"),
    "ConfigMap": Served("v1", "configmaps"),
    "ServiceAccount": Served("v1", "serviceaccounts"),
    "NetworkPolicy": Served("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Served("policy/v1", "poddisruptionbudgets"),
    "Event": Served("events.k8s.io/v1", "events"),
    "RuntimeClass": Served("node.k8s.io/v1", "runtimeclasses"),
    "CustomResourceDefinition": Served("apiextensions.k8s.io/v1", "customresourcedefinitions"),
}


def definition_name(kind: str) -> str:
    """The name of the CustomResourceDefinition of one of our kinds."""
    return f"{SERVED[kind].plural}.{GROUP}"


def url_path(kind: str, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """The path of an object, or of its collection; `namespace` None is the whole cluster."""
    served = SERVED[kind]
    root = f"/apis/{served.api_version}" if "/" in served.api_version else f"/api/{served.api_version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    path = f"{root}{place}/{served.plural}"
    path += f"/{quote(name, safe='')}" if name else ""
    return f"{path}/{subresource}" if subresource else path
