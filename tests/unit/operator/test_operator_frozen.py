"""What a run is frozen to at its start."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun
from deepcoder_operator.frozen import Frozen, FrozenConfigError, config_map, images_of, read_frozen
from deepcoder_operator.settings import read_settings
from tests.operator_builders import EVALUATION_OWNER, IMAGES, RUN_OWNER, frozen_evaluation, training_run


@pytest.mark.parametrize("parts", [{}, {"optimizer": {"learningRate": 1e-6}, "sandbox": {"limits": {"memoryMiB": 64}}}])
def test_a_run_comes_back_as_it_was_frozen(parts: dict[str, object]) -> None:
    """Every value, with the images, by way of an immutable ConfigMap."""
    run = training_run(**parts).resolved()
    document = config_map(RUN_OWNER, run, IMAGES)
    assert document["immutable"] is True
    assert document["metadata"]["name"] == "tiny-tr-config"
    assert all(isinstance(value, str) for value in document["data"].values())
    assert read_frozen(ResolvedRun, document["data"]) == Frozen(
        run, replace(IMAGES, references=dict(IMAGES.references))
    )


def test_an_evaluation_comes_back_as_it_was_frozen() -> None:
    """With the model that it came to."""
    resource = frozen_evaluation().resource
    document = config_map(EVALUATION_OWNER, resource, IMAGES)
    assert read_frozen(ResolvedEvaluation, document["data"]).resource == resource


def test_a_process_reads_the_same_text() -> None:
    """config.json is the resolved run as every process parses it."""
    run = training_run().resolved()
    assert ResolvedRun.model_validate_json(config_map(RUN_OWNER, run, IMAGES)["data"]["config.json"]) == run


def test_no_secret_value_is_frozen() -> None:
    """Secrets are named, and nothing else of them is known to the operator."""
    text = json.dumps(config_map(RUN_OWNER, training_run().resolved(), IMAGES))
    assert "secretName" in text
    assert "AWS_SECRET_ACCESS_KEY" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"config.json": None},
        {"images.json": None},
        {"config.json": "{"},
        {"config.json": "{}"},
        {"images.json": "[]"},
        {"images.json": "{}"},
        {"images.json": '{"images": {}, "pullPolicy": "Always", "pullSecrets": 3}'},
    ],
)
def test_what_cannot_be_read_is_one_kind_of_error(changes: dict[str, str | None]) -> None:
    """Missing, cut off, of another shape: the caller has one thing to catch."""
    data = {**config_map(RUN_OWNER, training_run().resolved(), IMAGES)["data"], **changes}
    with pytest.raises(FrozenConfigError, match="the frozen configuration cannot be read"):
        read_frozen(ResolvedRun, {key: value for key, value in data.items() if value is not None})


def test_a_run_starts_with_the_operators_images() -> None:
    """Those of its settings, and how they are pulled."""
    settings = read_settings(
        {
            **{f"DEEPCODER_IMAGE_{role}": f"r/{role}" for role in ("WORKER", "TRAINER", "ROLLOUT", "SANDBOX")},
            "DEEPCODER_IMAGE_PULL_POLICY": "Always",
            "DEEPCODER_IMAGE_PULL_SECRETS": "one, two",
        }
    )
    images = images_of(settings)
    assert images.references["trainer"] == "r/TRAINER"
    assert (images.pull_policy, images.pull_secrets) == ("Always", ("one", "two"))
