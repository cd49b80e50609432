"""What pydantic refuses, said as a person would: the field's path in YAML, its value, and what is allowed. No I/O."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_LONGEST_VALUE = 80


@dataclass(frozen=True)
class FieldError:
    """One wrong field. `field` is its path as written in YAML, such as spec.stages[0].steps; "" is the whole document.

    `value` is None where the fault is not one value's. `allowed` reads on from the value: what may stand there.
    """

    field: str
    value: object
    allowed: str

    def __str__(self) -> str:
        place = self.field or "document"
        return f"{place}: {self.allowed}" if self.value is None else f"{place}: {_shown(self.value)}: {self.allowed}"


def field_errors(model: type[BaseModel], error: ValidationError) -> list[FieldError]:
    """Every fault of a failed validation of `model`."""
    return [_field_error(model, details) for details in error.errors(include_url=False)]


def _field_error(model: type[BaseModel], details: ErrorDetails) -> FieldError:
    location = details["loc"]
    path = field_path(location)
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    match kind:
        case "missing":
            return FieldError(path, None, "a value is required")
        case "extra_forbidden":
            return FieldError(path, None, _unknown(model, location))
        case "value_error":
            return _from_validator(path, str(context["error"]))
        case _:
            return FieldError(path, value, _allowed(kind, context, details["msg"]))


def _from_validator(path: str, message: str) -> FieldError:
    # Our own validators begin their message with the field, relative to the part they stand in.
    field, separator, rest = message.partition(": ")
    if not separator or " " in field:
        return FieldError(path, None, message)
    whole = path if path.endswith(f".{field}") else f"{path}.{field}" if path else field
    return FieldError(whole, None, rest)


def field_path(location: tuple[int | str, ...]) -> str:
    """spec.stages[0].steps, from pydantic's ("spec", "stages", 0, "steps")."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


def _allowed(kind: str, context: dict[str, Any], message: str) -> str:
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "less_than":
            return f"must be less than {context['lt']}"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_too_short":
            return f"must have at least {context['min_length']} characters"
        case "too_short":
            return f"must have at least {context['min_length']} items"
        case "too_long":
            return f"must have at most {context['max_length']} items"
        case "int_type":
            return "must be an integer"
        case "float_type":
            return "must be a number"
        case "string_type":
            return "must be a string (quote it)"
        case "bool_type":
            return "must be true or false"
        case "list_type":
            return "must be a list"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a mapping"
        case _:
            return message


def _unknown(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    known = sorted(_fields_at(model, location[:-1]))
    name = str(location[-1])
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown field{hint}; the fields here are {', '.join(known)}" if known else "unknown field; none is allowed"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    here = model
    for part in location:
        if isinstance(part, int):
            continue
        field = next((info for name, info in here.model_fields.items() if part in (info.alias, name)), None)
        inner = _model_in(field.annotation) if field else None
        if inner is None:
            return []
        here = inner
    return [info.alias or name for name, info in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
