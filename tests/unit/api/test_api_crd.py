"""The CustomResourceDefinitions: fresh, bounded, described, and saying what may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepcoder_api.crd import crd_documents, evaluation_crd, training_run_crd
from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.evaluation_status import EvaluationStatus
from deepcoder_api.training_run import TrainingRunSpec, TrainingRunStatus

ROOT = Path(__file__).resolve().parents[3]
DEFINITIONS = {"TrainingRun": training_run_crd(), "Evaluation": evaluation_crd()}
EACH = pytest.mark.parametrize("kind", DEFINITIONS)


def root_schema(kind: str) -> dict[str, Any]:
    """The schema of a kind."""
    return DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def places(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place in a schema with its path."""
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from places(member, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from places(schema[key], f"{path}[]")


def all_places(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Every place of spec and status."""
    members = root_schema(kind)["properties"]
    return [*places(members["spec"], "spec"), *places(members["status"], "status")]


@pytest.mark.parametrize("folder", ["crds", "charts/deepcoder-operator/files/crds"])
def test_files_are_fresh(folder: str) -> None:
    """What is in the repository is what the models say; `make crds` writes it."""
    assert {file.name: file.read_text() for file in (ROOT / folder).iterdir()} == crd_documents()


@EACH
def test_every_string_list_and_map_is_bounded(kind: str) -> None:
    """Without bounds CEL is over the API server's budget, and a resource over etcd's."""
    bounds = {"string": ("maxLength", "enum"), "array": ("maxItems",)}
    unbounded = [
        path
        for path, place in all_places(kind)
        if not any(key in place for key in bounds.get(place["type"], ("type",)))
    ]
    unbounded += [
        path for path, place in all_places(kind) if "additionalProperties" in place and "maxProperties" not in place
    ]
    assert unbounded == []


@EACH
def test_every_field_is_described(kind: str) -> None:
    """`kubectl explain` has a sentence for each field, ending as one."""
    fields = [(path, place) for path, place in all_places(kind) if not path.endswith("[]")]
    assert [path for path, place in fields if not str(place.get("description", "")).endswith((".", "?"))] == []


@EACH
def test_every_place_has_a_type_and_nothing_kubernetes_refuses(kind: str) -> None:
    """Structural: typed everywhere, no references, no unions, no closed objects."""
    for path, place in all_places(kind):
        assert isinstance(place["type"], str), path
        assert not {"$ref", "anyOf", "oneOf", "allOf", "const", "title"} & set(place), path
        assert place.get("additionalProperties") is not False, path


@EACH
def test_it_fits_into_kubectls_annotation(kind: str) -> None:
    """Plain `kubectl apply` keeps the whole definition in an annotation of at most 262,144 bytes."""
    assert max(len(text.encode()) for text in crd_documents().values()) < 262_144 // 2


@pytest.mark.parametrize(
    ("kind", "mutable"),
    [
        ("TrainingRun", {"rollout.replicas", "sandbox.replicas", "activeDeadlineSeconds", "failurePolicy.maxRestarts"}),
        ("Evaluation", {"sandbox.replicas", "suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished"}),
    ],
)
def test_all_but_what_may_change_is_fixed(kind: str, mutable: set[str]) -> None:
    """Each field is under exactly one rule of immutability, or may change."""
    spec = root_schema(kind)["properties"]["spec"]
    fixed = {rule["fieldPath"][1:] for rule in spec["x-kubernetes-validations"] if "oldSelf" in rule["rule"]}
    for name, member in spec["properties"].items():
        paths = {name} if name in fixed | mutable else {f"{name}.{inner}" for inner in member["properties"]}
        assert paths <= fixed | mutable, name
    assert not fixed & mutable


@EACH
def test_no_default_for_what_a_preset_owns(kind: str) -> None:
    """Only the preset's name has a default among the algorithm's fields."""
    spec = root_schema(kind)["properties"]["spec"]["properties"]
    if "algorithm" in spec:
        defaulted = [path for path, place in places(spec["algorithm"], "algorithm") if "default" in place]
        assert defaulted == ["algorithm", "algorithm.preset"]
        assert spec["algorithm"]["default"] == {}
    assert "default" not in str(root_schema(kind)["properties"]["status"])


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [("TrainingRun", TrainingRunSpec, TrainingRunStatus), ("Evaluation", EvaluationSpec, EvaluationStatus)],
)
def test_the_schema_has_the_models_fields(kind: str, spec: Any, status: Any) -> None:
    """By their YAML names."""
    members = root_schema(kind)["properties"]
    for part, model in (("spec", spec), ("status", status)):
        aliases = {info.alias or name for name, info in model.model_fields.items()}
        assert set(members[part]["properties"]) == aliases


@EACH
def test_columns_read_fields_that_are_there(kind: str) -> None:
    """A column with a wrong path would stay empty for ever."""
    version = DEFINITIONS[kind]["spec"]["versions"][0]
    for column in version["additionalPrinterColumns"]:
        here = {
            "properties": {**root_schema(kind)["properties"], "metadata": {"properties": {"creationTimestamp": {}}}}
        }
        for part in column["jsonPath"].strip(".").split("."):
            here = here["properties"][part]


def test_the_text_is_the_definition() -> None:
    """YAML that reads back as what was meant."""
    assert [yaml.safe_load(text) for text in crd_documents().values()] == list(DEFINITIONS.values())
