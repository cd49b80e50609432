"""The pydantic models as CustomResourceDefinitions: structural schemas that an API server takes. No I/O.

Beside plain JSON schema the models may say: "x-list-map-keys" (a list that is a map), "x-exactly-one" (members of which
one must stand), "x-mutable" (paths of a spec that may change after creation; all else is fixed), "x-rules" (CEL).
"""

from __future__ import annotations

from typing import Any, cast

import yaml
from pydantic import BaseModel

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.manifest import GROUP, VERSION
from deepcoder_api.structural_schema import Schema, structural_schema
from deepcoder_api.training_run import TrainingRunSpec, TrainingRunStatus

_NAME_RULE: Schema = {
    "rule": "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "message": "metadata.name must have at most 40 characters: lower-case letters, digits and -, a letter first, "
    "no - at the end",
}
_HEADER = "# Written by `deepcoder crds` from api/deepcoder_api. Do not edit.\n"


def training_run_crd() -> Schema:
    """The CustomResourceDefinition of TrainingRun."""
    columns = [
        _column("Phase", "string", ".status.phase", "Where the run stands."),
        _column("Stage", "string", ".status.stage", "Stage under way."),
        _column("Step", "integer", ".status.step", "Steps done."),
        _column("Steps", "integer", ".status.totalSteps", "Steps of all stages."),
        _column("Reward", "number", ".status.reward", "Mean reward of the last step."),
        _column("Checkpoint", "integer", ".status.lastCheckpoint.step", "Step of the newest checkpoint."),
        _column("Restarts", "integer", ".status.restarts", "Attempts that failures cost.", priority=1),
        _column("Message", "string", ".status.message", "What the run is doing or waiting for.", priority=1),
        _column("Age", "date", ".metadata.creationTimestamp", "Since its creation."),
    ]
    scale = {
        "specReplicasPath": ".spec.rollout.replicas",
        "statusReplicasPath": ".status.rollout.replicas",
        "labelSelectorPath": ".status.rollout.selector",
    }
    return _definition(
        kind="TrainingRun",
        plural="trainingruns",
        short_name="dctr",
        description="Trains a coding model by reinforcement learning on code that is really run.",
        spec=TrainingRunSpec,
        status=TrainingRunStatus,
        columns=columns,
        subresources={"status": {}, "scale": scale},
    )


def evaluation_crd() -> Schema:
    """The CustomResourceDefinition of Evaluation."""
    columns = [
        _column("Phase", "string", ".status.phase", "Where the evaluation stands."),
        _column("Model", "string", ".status.model", "The model being measured."),
        _column("Pass@1", "number", ".status.passAt1", "Mean share of accepted answers, first benchmark."),
        _column("By length", "string", ".status.passAt1ByLength", "The same by response limit in tokens.", priority=1),
        _column("Answered", "integer", ".status.answered", "Answers graded so far.", priority=1),
        _column("Total", "integer", ".status.total", "Answers to grade.", priority=1),
        _column("Message", "string", ".status.message", "What it is doing or waiting for.", priority=1),
        _column("Age", "date", ".metadata.creationTimestamp", "Since its creation."),
    ]
    return _definition(
        kind="Evaluation",
        plural="evaluations",
        short_name="dcev",
        description="Measures a coding model on problems whose answers are really run.",
        spec=EvaluationSpec,
        status=EvaluationStatus,
        columns=columns,
        subresources={"status": {}},
    )


def crd_documents() -> dict[str, str]:
    """File name to YAML text of every definition, as it stands in crds/."""
    definitions = (training_run_crd(), evaluation_crd())
    return {
        f"{definition['spec']['names']['plural']}.yaml": _HEADER
        + yaml.safe_dump(definition, sort_keys=False, width=110, allow_unicode=True)
        for definition in definitions
    }


def _definition(
    *,
    kind: str,
    plural: str,
    short_name: str,
    description: str,
    spec: type[BaseModel],
    status: type[BaseModel],
    columns: list[Schema],
    subresources: Schema,
) -> Schema:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema(description, spec, status)},
        "subresources": subresources,
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "deepcoder-operator"},
            # Uninstalling the chart leaves the definition: every resource of the kind would go with it.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short_name],
                "categories": ["deepcoder"],
            },
            "versions": [version],
        },
    }


def _root_schema(description: str, spec: type[BaseModel], status: type[BaseModel]) -> Schema:
    extra = cast("dict[str, Any]", spec.model_config.get("json_schema_extra") or {})
    mutable = frozenset(cast("list[str]", extra.get("x-mutable", [])))
    spec_schema = structural_schema(spec)
    rules = [*_immutability_rules(spec_schema, mutable), *spec_schema.get("x-kubernetes-validations", [])]
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "deepcoder.dev/v1alpha1."},
            "kind": {"type": "string", "description": "The kind of resource."},
            "metadata": {"type": "object"},
            "spec": {**spec_schema, "x-kubernetes-validations": rules},
            "status": structural_schema(status, defaults=False),
        },
        "x-kubernetes-validations": [_NAME_RULE],
    }


def _immutability_rules(spec_schema: Schema, mutable: frozenset[str]) -> list[Schema]:
    # One rule a field, so that a refusal names what changed: a message made by CEL is over the API server's budget.
    message = f"fixed once created; of a spec only {', '.join(sorted(mutable))} may change"
    return [
        {"rule": rule, "fieldPath": f".{path}", "message": message}
        for path, rule in _unchanged(spec_schema, mutable).items()
    ]


def _unchanged(schema: Schema, mutable: frozenset[str], prefix: str = "") -> dict[str, str]:
    # Written with has() and not with optional fields (self.?a), whose size the API server cannot bound: over budget.
    rules: dict[str, str] = {}
    for name, member in schema["properties"].items():
        path = f"{prefix}{name}"
        new, old = f"self.{path}", f"oldSelf.{path}"
        if path in mutable:
            continue
        if any(other.startswith(f"{path}.") for other in mutable):
            rules |= _unchanged(member, mutable, f"{path}.")
        elif name in schema.get("required", []) or "default" in member:
            rules[path] = f"{new} == {old}"
        else:
            rules[path] = f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"
    return rules


def _column(name: str, type: str, path: str, description: str, priority: int = 0) -> Schema:
    column: Schema = {"name": name, "type": type, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column
