"""Names, URIs and pods: what a specification takes and what it refuses."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.grading import GradeRequest, Profile
from deepcoder_api.specification import (
    ModelSource,
    Name,
    ObjectUri,
    PartName,
    PodSpec,
    SandboxPod,
    SandboxSpec,
    SecretName,
    StorageSpec,
    kubernetes_form,
)
from deepcoder_api.training_run import TrainingRunSpec
from tests.resource_documents import evaluation, training_run


def takes(type: Any, value: object) -> bool:
    """Whether a type takes a value."""
    try:
        TypeAdapter(type).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", ["a", "a1", "a-1", "x" * 40])
def test_names(name: str) -> None:
    """DNS-1035 labels of at most 40 characters, so that children's names fit."""
    assert takes(Name, name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a.b", "a_b", "é", "x" * 41, "a\n"])
def test_no_names(name: str) -> None:
    """A trailing newline is one of the wrong characters."""
    assert not takes(Name, name)


@pytest.mark.parametrize(
    ("name", "good"), [("16k", True), ("lcb-v5", True), ("1", True), ("-k", False), ("16K", False)]
)
def test_names_of_parts(name: str, good: bool) -> None:
    """Stages are called 16k and 32k."""
    assert takes(PartName, name) is good


@pytest.mark.parametrize("name", ["s3-credentials", "a.b", "1", "x" * 253])
def test_secret_names(name: str) -> None:
    """DNS subdomains, as Kubernetes names Secrets."""
    assert takes(SecretName, name)


@pytest.mark.parametrize("name", ["", "A", "a_b", ".a", "a.", "x" * 254])
def test_no_secret_names(name: str) -> None:
    """Refused here before the API server does."""
    assert not takes(SecretName, name)


@pytest.mark.parametrize(
    ("type", "uri", "good"),
    [
        (ObjectUri, "s3://bucket/a.jsonl", True),
        (ObjectUri, "hf://openai/openai_humaneval", True),
        (ObjectUri, "file:///tmp/a", True),
        (ObjectUri, "pvc://claim/a", False),
        (ObjectUri, "https://host/a", False),
        (ObjectUri, "s3://", False),
        (ObjectUri, "s3://bucket/a b", False),
        (ObjectUri, "/tmp/a", False),
    ],
)
def test_uris_of_files(type: Any, uri: str, good: bool) -> None:
    """s3, hf and file; no spaces."""
    assert takes(type, uri) is good


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("s3://bucket", True),
        ("s3://bucket/", True),
        ("s3://my.bucket-1/a/b", True),
        ("s3://b/prefix", False),
        ("s3://Bucket/prefix", False),
        ("s3://bucket-", False),
        ("s3:/bucket", False),
        ("file:///tmp", False),
    ],
)
def test_uris_of_storage(uri: str, good: bool) -> None:
    """A bucket as S3 names them, with or without a prefix."""
    assert takes(StorageSpec, {"uri": uri}) is good


@pytest.mark.parametrize("uri", ["hf://a/b", "s3://b/m", "pvc://claim/path", "file:///m"])
def test_models_may_also_lie_on_a_claim(uri: str) -> None:
    """pvc:// is for models alone."""
    assert ModelSource.model_validate({"uri": uri}).uri == uri


@pytest.mark.parametrize("field", ["env", "serviceAccountName", "securityContext", "hostNetwork", "runtimeClassName"])
def test_what_a_sandbox_pod_may_not_say(field: str) -> None:
    """Its identity, security, network and runtime are the operator's."""
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SandboxPod.model_validate({field: "x"})


def test_a_pod_may_say_more() -> None:
    """Environment and account, on top of what a sandbox pod may."""
    assert set(PodSpec.model_fields) - set(SandboxPod.model_fields) == {"env", "service_account_name"}


def test_a_specification_cannot_be_changed() -> None:
    """What was checked stays as it was."""
    with pytest.raises(ValidationError, match="frozen"):
        SandboxSpec().replicas = 2  # pyright: ignore[reportAttributeAccessIssue] - the point of the test


def test_the_form_of_kubernetes() -> None:
    """camelCase with the odd units' names, absent values left out."""
    form = kubernetes_form(SandboxSpec())
    assert form["limits"] == {"timeoutSeconds": 6.0, "memoryMiB": 512, "outputMiB": 4, "processes": 16}
    assert "image" not in form["pod"]


def test_profile_is_strict_or_one_that_is_known() -> None:
    """Every profile that the grader takes may be named, and no other."""
    assert SandboxSpec().profile == GradeRequest(id="a", problem_hash="0" * 64, program="").profile == "strict"
    for profile in get_args(Profile):
        assert SandboxSpec.model_validate({"profile": profile}).profile == profile
    with pytest.raises(ValidationError, match="'strict', 'lcb-v5', 'rllm-release' or 'rllm-main'"):
        SandboxSpec.model_validate({"profile": "lenient"})


@pytest.mark.parametrize(
    ("model", "document"),
    [(TrainingRunSpec, training_run()), (EvaluationSpec, evaluation())],
    ids=["run", "evaluation"],
)
def test_a_spec_survives_its_kubernetes_form(model: Any, document: dict[str, Any]) -> None:
    """Written and read again it is the same: round trips through ConfigMaps and status lose nothing."""
    spec = model.model_validate(document["spec"])
    assert model.model_validate(kubernetes_form(spec)) == spec


def test_the_card_defaults_of_an_evaluation() -> None:
    """DeepCoder's card: temperature 0.6, top_p 0.95, 64,000 tokens."""
    spec = EvaluationSpec.model_validate(evaluation()["spec"])
    sampling = spec.sampling
    assert (sampling.temperature, sampling.top_p, sampling.system_prompt) == (0.6, 0.95, None)
    assert spec.response_limit == 64000
