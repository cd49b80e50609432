"""A pydantic model as a structural OpenAPI v3 schema: what Kubernetes refuses in JSON schema is rewritten here. No I/O.

References are inlined, null unions flattened, additionalProperties: false dropped (Kubernetes prunes and its strict
validation refuses unknown fields), exclusive bounds written the OpenAPI way.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = ("type", "enum", "format", "minLength", "maxLength", "pattern", "minItems", "maxItems", "maxProperties")


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The schema of `model` by its YAML names. `defaults` False leaves defaults out, as a status must."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _Inliner(document.get("$defs", {}), defaults).schema(document)


class _Inliner:
    def __init__(self, definitions: dict[str, Schema], defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def schema(self, source: Schema) -> Schema:
        merged = self._flattened(source)
        result: Schema = {key: merged[key] for key in _KEPT if key in merged}
        if "const" in merged:
            result["enum"] = [merged["const"]]
        if "description" in merged:
            result["description"] = " ".join(str(merged["description"]).split())
        result |= _bounds(merged)
        match result.get("type"):
            case "object":
                result |= self._object(merged)
            case "array":
                result |= self._array(merged)
            case _:
                pass
        return result | self._default(merged, result)

    def _flattened(self, source: Schema) -> Schema:
        merged = dict(source)
        members = [item for item in merged.pop("anyOf", []) if item.get("type") != "null"]
        if len(members) > 1:
            raise ValueError(f"a union of {len(members)} types has no structural schema: {source}")
        for part in members:
            merged = {**part, **merged}
        if "$ref" in merged:
            name = merged.pop("$ref").removeprefix("#/$defs/")
            merged = {**self._flattened(self._definitions[name]), **merged}
        return merged

    def _object(self, merged: Schema) -> Schema:
        rules = list(merged.get("x-rules", []))
        if "properties" in merged:
            result: Schema = {
                "properties": {name: self.schema(member) for name, member in merged["properties"].items()}
            }
            result |= {"required": merged["required"]} if merged.get("required") else {}
        else:
            patterns = cast("dict[str, Schema]", merged.get("patternProperties", {}))
            values = cast("Schema | None", merged.get("additionalProperties")) or next(iter(patterns.values()), None)
            result = {"additionalProperties": self.schema(values)} if values else {}
            rules += [_key_rule(pattern) for pattern in patterns]
        if exactly_one := cast("list[str]", merged.get("x-exactly-one", [])):
            rules.append(_exactly_one_rule(exactly_one))
        return result | ({"x-kubernetes-validations": rules} if rules else {})

    def _array(self, merged: Schema) -> Schema:
        keys = merged.get("x-list-map-keys")
        kind = (
            {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
            if keys
            else {"x-kubernetes-list-type": "atomic"}
        )
        return {"items": self.schema(merged["items"]), **kind}

    def _default(self, merged: Schema, result: Schema) -> Schema:
        default = merged.get("default")
        if not self._defaults or default is None:
            return {}
        if "properties" in result:
            needed = _beyond_members(default, result)
            has_own = any("default" in member for member in result["properties"].values())
            return {"default": needed} if needed or has_own else {}
        return {} if default in ({}, []) else {"default": default}


def _key_rule(pattern: str) -> Schema:
    # Structural schemas have no patternProperties.
    return {"rule": f"self.all(key, key.matches('{pattern}'))", "message": f"every key must match {pattern}"}


def _exactly_one_rule(members: list[str]) -> Schema:
    given = ", ".join(f"has(self.{name})" for name in members)
    return {
        "rule": f"[{given}].filter(given, given).size() == 1",
        "message": f"exactly one of {', '.join(members)} must be given",
    }


def _beyond_members(default: Schema, schema: Schema) -> Schema:
    """What of an object's default its members' own defaults do not give already."""
    beyond: Schema = {}
    for name, value in default.items():
        member = schema["properties"][name]
        if value is None or value == member.get("default"):
            continue
        if isinstance(value, dict) and "properties" in member:
            value = _beyond_members(cast("Schema", value), member)
            if not value and (member["properties"] or "default" in member):
                continue
        elif value in ({}, []):
            continue
        beyond[name] = value
    return beyond


def _bounds(merged: Schema) -> Schema:
    bounds: Schema = {}
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if key in merged:
            bounds[key] = merged[key]
        elif exclusive in merged:
            bounds |= {key: merged[exclusive], exclusive: True}
    return bounds
