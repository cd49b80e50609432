"""From JSON schema to the structural schema that Kubernetes takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from deepcoder_api.structural_schema import structural_schema


class Part(BaseModel):
    """A part."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Leaf(Part):
    """A leaf."""

    size: int = 3
    label: str | None = None


class Tree(Part):
    """A tree."""

    needed: str = Field(description="Needed.\n  Really.", max_length=5)
    count_of: int = Field(default=1, ge=1, lt=9)
    share: float = Field(default=0.5, gt=0, le=1)
    kind: Literal["a", "b"] = "a"
    only: Literal["x"] = "x"
    maybe: Annotated[int, Field(ge=0)] | None = None
    leaf: Leaf = Leaf()
    other: Leaf = Leaf(size=7)
    none: Leaf | None = Field(default=None, description="Its own words.")
    leaves: list[Leaf] = Field(default=[], max_length=4, json_schema_extra={"x-list-map-keys": ["label"]})
    numbers: list[float] = Field(default=[1.0], max_length=2)
    labels: dict[str, str] = Field(default={}, max_length=8)
    env: dict[Annotated[str, Field(pattern="^[a-z]+$")], str] = Field(default={}, max_length=8)


SCHEMA = structural_schema(Tree)
MEMBERS: dict[str, Any] = {
    "needed": {"type": "string", "maxLength": 5, "description": "Needed. Really."},
    "countOf": {"type": "integer", "minimum": 1, "maximum": 9, "exclusiveMaximum": True, "default": 1},
    "share": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1, "default": 0.5},
    "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
    "only": {"type": "string", "enum": ["x"], "default": "x"},
    "maybe": {"type": "integer", "minimum": 0},
    "numbers": {
        "type": "array",
        "maxItems": 2,
        "items": {"type": "number"},
        "x-kubernetes-list-type": "atomic",
        "default": [1.0],
    },
    "labels": {"type": "object", "maxProperties": 8, "additionalProperties": {"type": "string"}},
    "env": {
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {"type": "string"},
        "x-kubernetes-validations": [
            {"rule": "self.all(key, key.matches('^[a-z]+$'))", "message": "every key must match ^[a-z]+$"}
        ],
    },
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member(name: str) -> None:
    """Null unions flattened, bounds the OpenAPI way, camelCase names, descriptions on one line."""
    assert SCHEMA["properties"][name] == MEMBERS[name]


def test_references_are_inlined() -> None:
    """Kubernetes has no $ref; the field's own description goes before the model's."""
    leaf = {"size": {"type": "integer", "default": 3}, "label": {"type": "string"}}
    assert SCHEMA["properties"]["none"] == {"type": "object", "description": "Its own words.", "properties": leaf}


def test_required_are_those_without_a_default() -> None:
    """And no others."""
    assert SCHEMA["required"] == ["needed"]


def test_a_part_is_filled_in_by_its_members() -> None:
    """An empty object as default is enough: defaults reach into it. What differs from the members' own is said."""
    assert SCHEMA["properties"]["leaf"]["default"] == {}
    assert SCHEMA["properties"]["other"]["default"] == {"size": 7}


def test_an_absent_part_stays_absent() -> None:
    """A part that may be missing has no default."""
    assert "default" not in SCHEMA["properties"]["none"]


def test_a_list_that_is_a_map() -> None:
    """By its keys, for merges and for duplicates."""
    leaves = SCHEMA["properties"]["leaves"]
    assert leaves["x-kubernetes-list-type"] == "map"
    assert leaves["x-kubernetes-list-map-keys"] == ["label"]


def test_a_status_has_no_defaults() -> None:
    """The operator writes a status; nothing is to be filled in."""
    assert "default" not in str(structural_schema(Tree, defaults=False))


def test_a_union_of_two_types_is_refused() -> None:
    """It has no structural schema: better known when the schema is generated."""

    class Either(Part):
        value: int | str

    with pytest.raises(ValueError, match="a union of 2 types has no structural schema"):
        structural_schema(Either)


def test_exactly_one_and_further_rules() -> None:
    """Both end as CEL beside the object."""

    class Choice(Part):
        model_config = ConfigDict(json_schema_extra={"x-exactly-one": ["a", "b"], "x-rules": [{"rule": "true"}]})

        a: int | None = None
        b: int | None = None

    assert structural_schema(Choice)["x-kubernetes-validations"] == [
        {"rule": "true"},
        {
            "rule": "[has(self.a), has(self.b)].filter(given, given).size() == 1",
            "message": "exactly one of a, b must be given",
        },
    ]
