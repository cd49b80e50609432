"""What cannot run on one machine without a cluster, said before anything starts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepcoder_api.manifest import EvaluationResource, Resource, TrainingRunResource
from deepcoder_api.processes import MLFLOW_VARIABLES, WANDB_VARIABLES

STORAGE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
MODEL_VARIABLES = ("HF_TOKEN",)
ENDPOINT_VARIABLES = ("OPENAI_API_KEY",)
SECRET_VARIABLES = (
    *(*STORAGE_VARIABLES, "AWS_SESSION_TOKEN", *MODEL_VARIABLES, *ENDPOINT_VARIABLES),
    *(*WANDB_VARIABLES, *MLFLOW_VARIABLES),
)


def refusals(resources: Sequence[Resource], secrets: Mapping[str, str]) -> list[str]:
    """One sentence for each thing in the way. `secrets` are the variables that stand in for Secrets here."""
    runs = {resource.metadata.name: resource for resource in resources if isinstance(resource, TrainingRunResource)}
    found: list[str] = []
    for resource in resources:
        title = f"{resource.kind}/{resource.metadata.name}"
        texts = (*_model(resource, runs), *_of_a_cluster(resource), *_secrets(resource, secrets))
        found += [f"{title}: {text}" for text in texts]
    return found


def in_order(resources: Sequence[Resource]) -> list[Resource]:
    """Evaluations of given models first, then the runs, then the evaluations of what the runs made."""

    def rank(resource: Resource) -> int:
        if isinstance(resource, TrainingRunResource):
            return 1
        return 2 if resource.spec.model.training_run is not None else 0

    return sorted(resources, key=rank)


def _model(resource: Resource, runs: Mapping[str, TrainingRunResource]) -> list[str]:
    uri = resource.spec.model.uri
    if uri is not None and uri.startswith("pvc://"):
        return [f'spec.model.uri: "{uri}": a claim is a cluster\'s; use s3://, hf:// or file:// here']
    if isinstance(resource, EvaluationResource) and resource.spec.model.training_run is not None:
        name, choice = resource.spec.model.training_run.name, resource.spec.model.training_run.checkpoint
        if name not in runs:
            return [f'spec.model.trainingRun.name: "{name}" is not among the given files; give its file too']
        if choice.best is not None and runs[name].spec.validation is None:
            return [f'spec.model.trainingRun.checkpoint.best: the run "{name}" has no validation to choose one by']
    return []


def _of_a_cluster(resource: Resource) -> list[str]:
    if not isinstance(resource, EvaluationResource):
        return []
    found: list[str] = []
    if resource.spec.serve:
        found.append("spec.serve: true: a Service is a cluster's; here an engine ends with its evaluation")
    if resource.spec.suspend:
        found.append("spec.suspend: true: it is not to run; leave its file out, or set it to false")
    return found


def _secrets(resource: Resource, secrets: Mapping[str, str]) -> list[str]:
    endpoint = resource.spec.model.endpoint if isinstance(resource, EvaluationResource) else None
    given = (
        ("spec.model.endpoint.secretName", endpoint.secret_name if endpoint else None, ENDPOINT_VARIABLES),
        ("spec.storage.secretName", resource.spec.storage.secret_name, STORAGE_VARIABLES),
        ("spec.model.secretName", resource.spec.model.secret_name, MODEL_VARIABLES),
    )
    return [
        f'{field}: "{name}": the variable {variable} stands in for the Secret here, and is not set'
        for field, name, variables in given
        if name is not None
        for variable in variables
        if not secrets.get(variable)
    ]
