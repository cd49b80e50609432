"""Whether installed definitions have all that the operator needs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from deepcoder_api.crd import evaluation_crd, training_run_crd
from deepcoder_operator.schema_check import missing_fields

RUN = training_run_crd()


def _without(*path: str) -> dict[str, Any]:
    definition = deepcopy(RUN)
    here = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for key in path[:-1]:
        here = here[key]
    del here[path[-1]]
    return definition


@pytest.mark.parametrize("definition", [training_run_crd(), evaluation_crd()])
def test_its_own_definitions_have_all_it_needs(definition: dict[str, Any]) -> None:
    """What a release installs, its operator starts on."""
    assert missing_fields(definition, definition) == []


def test_a_newer_definition_is_fine() -> None:
    """Versions only add; during an upgrade the definitions come first."""
    assert missing_fields(_without("properties", "spec", "properties", "checkpoint"), RUN) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("properties", "status", "properties", "dataset"), "status.dataset"),
        (("properties", "spec", "properties", "checkpoint"), "spec.checkpoint"),
        (
            ("properties", "spec", "properties", "stages", "items", "properties", "steps"),
            "spec.stages[].steps",
        ),
    ],
)
def test_each_lacking_field_is_named_by_its_path(path: tuple[str, ...], said: str) -> None:
    """So that who reads it sees how old the installed definition is."""
    assert missing_fields(RUN, _without(*path)) == [said]


def test_a_lacking_value_of_a_choice_is_named() -> None:
    """A preset or a phase that the installed definition would refuse."""
    old = deepcopy(RUN)
    phase = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["phase"]
    phase["enum"].remove("Training")
    assert missing_fields(RUN, old) == ["status.phase: Training"]


def test_a_version_that_is_not_served_lacks_everything() -> None:
    """The group is there and our version of it is not."""
    old = deepcopy(RUN)
    old["spec"]["versions"][0]["served"] = False
    assert missing_fields(RUN, old) == ["a served version v1alpha1"]
