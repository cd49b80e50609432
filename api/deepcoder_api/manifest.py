"""A resource as a whole: read from a document, refused with every wrong field at once. No I/O.

`deepcoder validate` and the operator both read resources here, so both say the same of a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.field_errors import FieldError, field_errors
from deepcoder_api.resolve import ResolvedRun, SpecificationError, resolve_run
from deepcoder_api.specification import Name
from deepcoder_api.training_run import TrainingRunSpec, TrainingRunStatus
from deepcoder_api.yaml_text import YamlError, load_documents

GROUP = "deepcoder.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class ManifestError(ValueError):
    """A document that is not a valid resource. `problems` names each wrong field, its value and what is allowed."""

    def __init__(self, problems: list[FieldError]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class Metadata(BaseModel):
    """What is used of a resource's metadata; the rest belongs to Kubernetes and its tools."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    name: Name
    namespace: str = "default"
    uid: str = ""
    generation: int | None = None
    resource_version: str = Field(default="", alias="resourceVersion")
    creation_timestamp: str | None = Field(default=None, alias="creationTimestamp")
    deletion_timestamp: str | None = Field(default=None, alias="deletionTimestamp")


class _Resource(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    api_version: Literal["deepcoder.dev/v1alpha1"] = Field(alias="apiVersion")
    metadata: Metadata


class TrainingRunResource(_Resource):
    """A TrainingRun as the API server holds it."""

    kind: Literal["TrainingRun"]
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()

    def resolved(self) -> ResolvedRun:
        """The run with every value filled in. Raises SpecificationError."""
        return resolve_run(self.metadata.namespace, self.metadata.name, self.metadata.uid, self.spec)


class EvaluationResource(_Resource):
    """An Evaluation as the API server holds it."""

    kind: Literal["Evaluation"]
    spec: EvaluationSpec
    status: EvaluationStatus = EvaluationStatus()


Resource = TrainingRunResource | EvaluationResource
KINDS: dict[str, type[TrainingRunResource] | type[EvaluationResource]] = {
    "TrainingRun": TrainingRunResource,
    "Evaluation": EvaluationResource,
}


def read_documents(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML stream, read with kubectl's scalar rules. Raises ManifestError for what is none."""
    try:
        documents = load_documents(text)
    except YamlError as error:
        raise ManifestError([FieldError("", None, f"not readable as YAML: {error}")]) from error
    strangers = [document for document in documents if not isinstance(document, dict)]
    if strangers:
        raise ManifestError([_not_a_mapping(strangers[0])])
    return documents


def parse_resource(document: object) -> Resource:
    """The resource that a document holds. Raises ManifestError with all that is wrong with it.

    Types are as strict as the API server's: "5" is no number. An absent value and a null mean the same.
    """
    if not isinstance(document, Mapping):
        raise ManifestError([_not_a_mapping(document)])
    mapping = cast("Mapping[str, Any]", document)
    kind = mapping.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise ManifestError([FieldError("kind", kind, f"must be one of {', '.join(KINDS)}")])
    try:
        resource = model.model_validate(_without_nulls(mapping), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ManifestError(field_errors(model, error)) from error
    if isinstance(resource, TrainingRunResource):
        _check_across_fields(resource)
    return resource


def _not_a_mapping(document: object) -> FieldError:
    return FieldError("", document, "must be a mapping with apiVersion, kind, metadata and spec")


def _check_across_fields(run: TrainingRunResource) -> None:
    try:
        run.resolved()
    except SpecificationError as error:
        message = str(error).removeprefix(f"{error.field}: ")
        raise ManifestError([FieldError(error.field, None, message)]) from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {key: _without_nulls(member) for key, member in members.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in cast("list[Any]", value)]
    return value
