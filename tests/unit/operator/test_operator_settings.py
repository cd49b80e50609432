"""The operator's settings, from its environment."""

from __future__ import annotations

import pytest

from deepcoder_api.processes import ENGINE_IMAGES
from deepcoder_operator.frozen import images_of
from deepcoder_operator.settings import SettingsError, read_settings

LEAST = {
    "DEEPCODER_IMAGE_WORKER": "r/worker:1",
    "DEEPCODER_IMAGE_TRAINER": "r/trainer:1",
    "DEEPCODER_IMAGE_ROLLOUT": "r/rollout:1",
    "DEEPCODER_IMAGE_SANDBOX": "r/sandbox:1",
}


def test_the_images_are_all_that_must_be_said() -> None:
    """All else has a default: the whole cluster is watched."""
    settings = read_settings(LEAST)
    assert settings.images == {
        "worker": "r/worker:1", "trainer": "r/trainer:1", "rollout": "r/rollout:1", "sandbox": "r/sandbox:1",
    }  # fmt: skip
    assert (settings.pull_policy, settings.pull_secrets, settings.namespaces) == ("IfNotPresent", (), ())
    assert (settings.own_namespace, settings.port, settings.workers) == ("deepcoder-system", 8080, 8)


def test_everything_may_be_said() -> None:
    """Lists are separated by commas; spaces and empty members do not count."""
    settings = read_settings(
        {
            **LEAST,
            "DEEPCODER_IMAGE_PULL_POLICY": "Always",
            "DEEPCODER_IMAGE_PULL_SECRETS": "one, two,",
            "DEEPCODER_NAMESPACES": "team-a,team-b",
            "POD_NAMESPACE": "ours",
            "DEEPCODER_PORT": "9000",
            "DEEPCODER_WORKERS": "2",
        }
    )
    assert (settings.pull_policy, settings.pull_secrets) == ("Always", ("one", "two"))
    assert settings.namespaces == ("team-a", "team-b")
    assert (settings.own_namespace, settings.port, settings.workers) == ("ours", 9000, 2)


def test_engines_have_images_of_their_own_where_they_are_given() -> None:
    """One that is empty is none; vLLM falls back on the rollout image."""
    given = {"DEEPCODER_IMAGE_ENGINE_TENSORRT_LLM": "r/trt:1", "DEEPCODER_IMAGE_ENGINE_SGLANG": ""}
    images = images_of(read_settings({**LEAST, **given}))
    found = {kind: images.find(image) for kind, image in ENGINE_IMAGES.items()}
    assert found == {"vllm": "r/rollout:1", "sglang": None, "tgi": None, "tensorrt-llm": "r/trt:1"}
    own = images_of(read_settings({**LEAST, "DEEPCODER_IMAGE_ENGINE_VLLM": "r/vllm:1"}))
    assert own.find("engine-vllm") == "r/vllm:1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DEEPCODER_IMAGE_TRAINER": ""}, "DEEPCODER_IMAGE_TRAINER is not set: it must name the image of the trainer"),
        ({"DEEPCODER_IMAGE_PULL_POLICY": "Sometimes"}, "DEEPCODER_IMAGE_PULL_POLICY is 'Sometimes': it must be Always"),
        ({"DEEPCODER_PORT": "http"}, "DEEPCODER_PORT is 'http': it must be a whole number"),
        ({"DEEPCODER_PORT": "-1"}, "DEEPCODER_PORT is '-1': it must be a whole number"),
        ({"DEEPCODER_WORKERS": "0"}, "DEEPCODER_WORKERS is '0': it must be a whole number of at least 1"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(changes: dict[str, str], message: str) -> None:
    """The operator does not start with half of what it needs."""
    with pytest.raises(SettingsError, match=message):
        read_settings({**LEAST, **changes})
