"""A document becomes a resource, or is refused with every wrong field at once."""

from __future__ import annotations

import pytest

from deepcoder_api.manifest import (
    EvaluationResource,
    ManifestError,
    TrainingRunResource,
    parse_resource,
    read_documents,
)
from tests.refused_documents import REFUSALS, Refusal
from tests.resource_documents import changed, evaluation, training_run


def problems(document: object) -> list[str]:
    """What is said of a document that must be refused."""
    with pytest.raises(ManifestError) as caught:
        parse_resource(document)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_refused_by_field_value_and_what_is_allowed(refusal: Refusal) -> None:
    """The same table as the API server's: each fault is found here too, in our words."""
    assert any(refusal.validate in problem for problem in problems(refusal.document))


def test_every_fault_is_said_at_once() -> None:
    """Nobody should have to apply a file four times to hear of four faults."""
    document = training_run()
    document = changed(document, "spec.stages[0].steps", 0)
    document = changed(document, "spec.optimizer.learningRat", 1)
    document = changed(document, "spec.trainer.replicas", "two")
    assert len(problems(document)) == 3


def test_the_kinds_are_told_apart() -> None:
    """Each kind has its own model."""
    assert isinstance(parse_resource(training_run()), TrainingRunResource)
    assert isinstance(parse_resource(evaluation()), EvaluationResource)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("text", 'document: "text": must be a mapping with apiVersion, kind, metadata and spec'),
        ({}, "kind: must be one of TrainingRun, Evaluation"),
        ({"kind": "Pod"}, 'kind: "Pod": must be one of TrainingRun, Evaluation'),
        ({"kind": ["Pod"]}, 'kind: ["Pod"]: must be one of TrainingRun, Evaluation'),
        (changed(training_run(), "apiVersion", "v1"), "apiVersion: \"v1\": must be one of 'deepcoder.dev/v1alpha1'"),
        (changed(training_run(), "metadata", {}), "metadata.name: a value is required"),
        (changed(training_run(), "stauts", {}), "stauts: unknown field (did you mean status?)"),
    ],
)
def test_what_is_no_resource(document: object, words: str) -> None:
    """A document that is something else is told what it should be."""
    assert words in problems(document)[0]


def test_a_null_is_no_value() -> None:
    """As the API server has it: null and absent mean the same, at every depth."""
    document = changed(training_run(), "spec.rollout.maxModelLength", None)
    document = changed(document, "spec.trainer.pod.tolerations", [{"key": "gpu", "value": None}])
    without = changed(training_run(), "spec.trainer.pod.tolerations", [{"key": "gpu"}])
    assert parse_resource(document).spec == parse_resource(without).spec


def test_metadata_of_others_is_left_alone() -> None:
    """Labels, annotations, managed fields and what is yet to come in metadata are Kubernetes' own."""
    document = changed(training_run(), "metadata.managedFields", [{"manager": "kubectl"}])
    assert parse_resource(document).metadata.name == "tiny"


def test_python_names_are_no_fields() -> None:
    """camelCase alone is YAML's spelling: what the API server refuses is not taken here."""
    document = changed(training_run(), "spec.trainer.gpus_per_replica", 1)
    assert problems(document)[0].startswith(
        "spec.trainer.gpus_per_replica: unknown field (did you mean gpusPerReplica?)"
    )


def test_documents_of_a_stream() -> None:
    """Several documents, empty ones left out."""
    assert read_documents("a: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "document: not readable as YAML: while parsing a flow sequence"),
        ("a: 1\na: 2", "document: not readable as YAML: the key 'a' is given twice"),
        ("- a", 'document: ["a"]: must be a mapping with apiVersion, kind, metadata and spec'),
        ("just words", 'document: "just words": must be a mapping'),
    ],
)
def test_text_that_holds_no_resource(text: str, words: str) -> None:
    """Broken YAML says where; other documents what was expected."""
    with pytest.raises(ManifestError, match=r"document: ") as caught:
        read_documents(text)
    assert words in str(caught.value)
