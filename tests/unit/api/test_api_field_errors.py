"""Faults that pydantic finds, in our words: path, value, and what is allowed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deepcoder_api.field_errors import FieldError, field_errors, field_path


class Inner(BaseModel):
    """A part with a rule of its own."""

    model_config = ConfigDict(extra="forbid")

    low: int = 0
    high: int = 9

    @model_validator(mode="after")
    def _ordered(self) -> Inner:
        if self.low > self.high:
            raise ValueError(f"low: {self.low} is more than high ({self.high})")
        return self


class Sample(BaseModel):
    """One field for each kind of fault."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(default=1, ge=1, le=9)
    share: float = Field(default=0.5, gt=0, lt=1)
    kind: Literal["a", "b"] = "a"
    name: str = Field(default="x", min_length=1, max_length=3, pattern="^[a-z]*$")
    flag: bool = False
    items: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    labels: dict[Annotated[str, Field(pattern="^[a-z]+$")], str] = Field(default={}, max_length=1)
    inner: Inner = Inner()
    parts: list[Inner] = []


CASES: list[tuple[dict[str, Any], str]] = [
    ({"count": 0}, "count: 0: must be at least 1"),
    ({"count": 10}, "count: 10: must be at most 9"),
    ({"count": "1"}, 'count: "1": must be an integer'),
    ({"count": True}, "count: true: must be an integer"),
    ({"share": 0}, "share: 0: must be more than 0"),
    ({"share": 1}, "share: 1: must be less than 1"),
    ({"share": "half"}, 'share: "half": must be a number'),
    ({"kind": "c"}, "kind: \"c\": must be one of 'a' or 'b'"),
    ({"name": "A"}, 'name: "A": must match ^[a-z]*$'),
    ({"name": ""}, 'name: "": must have at least 1 characters'),
    ({"name": "abcd"}, 'name: "abcd": must have at most 3 characters'),
    ({"name": 7}, "name: 7: must be a string (quote it)"),
    ({"flag": "yes"}, 'flag: "yes": must be true or false'),
    ({"items": []}, "items: []: must have at least 1 items"),
    ({"items": [1, 2, 3]}, "items: [1, 2, 3]: must have at most 2 items"),
    ({"items": 1}, "items: 1: must be a list"),
    ({"items": [1, "2"]}, 'items[1]: "2": must be an integer'),
    ({"labels": []}, "labels: []: must be a mapping"),
    ({"labels": {"A": "1"}}, 'labels.A: "A": must match ^[a-z]+$'),
    ({"labels": {"a": 1}}, "labels.a: 1: must be a string (quote it)"),
    ({"labels": {"a": "1", "b": "2"}}, 'labels: {"a": "1", "b": "2"}: must have at most 1 items'),
    ({"inner": 3}, "inner: 3: must be a mapping"),
    ({"inner": {"low": 5, "high": 2}}, "inner.low: 5 is more than high (2)"),
    ({"parts": [{}, {"low": 5, "high": 2}]}, "parts[1].low: 5 is more than high (2)"),
    ({"coutn": 1}, "coutn: unknown field (did you mean count?); the fields here are count, flag, inner"),
    ({"zzz": 1}, "zzz: unknown field; the fields here are count"),
    ({"parts": [{"lwo": 1}]}, "parts[0].lwo: unknown field (did you mean low?); the fields here are high, low"),
]


@pytest.mark.parametrize(("values", "words"), CASES, ids=[words for _, words in CASES])
def test_a_fault_in_our_words(values: dict[str, Any], words: str) -> None:
    """Each kind of fault, said once."""
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(values, strict=True)
    (error,) = field_errors(Sample, caught.value)
    assert str(error).startswith(words)


def test_a_missing_value() -> None:
    """It has no value to show."""

    class Needy(BaseModel):
        uri: str

    with pytest.raises(ValidationError) as caught:
        Needy.model_validate({})
    assert [str(error) for error in field_errors(Needy, caught.value)] == ["uri: a value is required"]


def test_a_long_value_is_cut() -> None:
    """A pasted file does not fill the screen."""
    text = str(FieldError("spec.model.uri", "x" * 1000, "must match ^s3://"))
    assert text.endswith("…: must match ^s3://")
    assert len(text) < 130


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "stages", 0, "steps"), "spec.stages[0].steps"),
        (("spec", "pod", "env", "A-B", "[key]"), "spec.pod.env.A-B"),
    ],
)
def test_paths_as_written_in_yaml(location: tuple[int | str, ...], path: str) -> None:
    """Dots between names, brackets around indexes."""
    assert field_path(location) == path
