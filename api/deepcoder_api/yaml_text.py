"""YAML text read with kubectl's scalar rules (sigs.k8s.io/yaml), so that a file means here what it means to a cluster.

Against PyYAML's own rules: 1e-6 is a number, 2024-08-01 a string, 12:30 a string, y and n are booleans. Stricter than
kubectl in one thing: a key given twice is an error here, where kubectl takes the last one without a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import yaml

_BOOLEANS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NULLS = ("", "~", "null", "Null", "NULL")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_INTEGER = re.compile(r"^[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)$")
_LARGEST_INTEGER_OF_JSON = 2**63


class YamlError(ValueError):
    """Text that is not YAML, or not what JSON can hold. The message names line and column."""


def load_documents(text: str) -> list[Any]:
    """The documents of a YAML stream as JSON values; empty documents are left out. Raises YamlError."""
    try:
        return [document for document in yaml.load_all(text, Loader=_KubernetesLoader) if document is not None]
    except yaml.YAMLError as error:
        raise YamlError(str(error)) from error


def scalar(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means: the resolution of go-yaml v2, then what its value becomes in JSON."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    plain = text.replace("_", "") if text[0] in "+-0123456789" else text
    if _INTEGER.match(plain):
        return _integer(plain)
    if _FLOAT.match(plain):
        return _number(float(plain))
    return text


def _integer(plain: str) -> int:
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-").lower()
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _number(value: float) -> int | float:
    # JSON has one kind of number: 1e3 reaches the API server as 1000, which an integer field takes.
    return (
        int(value) if math.isfinite(value) and value.is_integer() and abs(value) < _LARGEST_INTEGER_OF_JSON else value
    )


class _KubernetesLoader(yaml.SafeLoader):
    """PyYAML's parser with go-yaml's scalars."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here, and not where values are made: by then what `<<` brings in stands beside what overrides it.
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        construct = cast("Callable[..., Any]", self.construct_object)  # pyright: ignore[reportUnknownMemberType]
        return {
            _key(construct(key_node, deep=True), key_node): construct(value_node, deep=deep)
            for key_node, value_node in node.value
        }


def _key(key: object, node: yaml.Node) -> str:
    # Text before it is a key of ours: to Python 1, 1.0 and True are one key.
    match key:
        case str():
            return key
        case bool():
            return "true" if key else "false"
        case int() | float():
            return str(key)
        case _:
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", node.start_mark)


def _construct_plain(loader: _KubernetesLoader, node: yaml.ScalarNode) -> str | int | float | bool | None:
    return node.value if node.style is not None else scalar(node.value)


def _construct_map(loader: _KubernetesLoader, node: yaml.MappingNode) -> Any:
    mapping: dict[str, Any] = {}
    yield mapping
    mapping.update(loader.construct_mapping(node))


# Scalars that PyYAML's own patterns would tag (dates, base-60 numbers, yes) all pass through `scalar` instead.
_KubernetesLoader.yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"))]}
_KubernetesLoader.add_constructor("tag:yaml.org,2002:str", _construct_plain)
_KubernetesLoader.add_constructor("tag:yaml.org,2002:map", _construct_map)
