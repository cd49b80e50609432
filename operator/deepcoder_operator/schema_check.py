"""Whether the installed CustomResourceDefinitions have all that this operator reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from deepcoder_api.crd import evaluation_crd, training_run_crd
from deepcoder_api.manifest import VERSION
from deepcoder_operator.cluster import Cluster
from deepcoder_operator.errors import NotFoundError

Schema = Mapping[str, Any]
_SHOWN = 5


class OldDefinitionsError(Exception):
    """A CustomResourceDefinition is missing or older than the operator; the message says what to do about it."""


async def check_definitions(cluster: Cluster) -> None:
    """Compare the installed definitions with this operator's. Raises OldDefinitionsError and ClusterError."""
    for needed in (training_run_crd(), evaluation_crd()):
        name = needed["metadata"]["name"]
        try:
            installed = await cluster.get("CustomResourceDefinition", None, name)
        except NotFoundError:
            raise OldDefinitionsError(f"the CustomResourceDefinition {name} is not installed; {_REMEDY}") from None
        lacking = missing_fields(needed, installed)
        if lacking:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise OldDefinitionsError(
                f"the installed CustomResourceDefinition {name} is older than this operator needs: it lacks "
                f"{', '.join(lacking[:_SHOWN])}{more}; {_REMEDY}"
            )


_REMEDY = "apply the definitions of this release first: kubectl apply --server-side -f crds/"


def missing_fields(needed: Schema, installed: Schema) -> list[str]:
    """Paths of fields that the needed definition has and the served version of the installed one has not."""
    served = _schema(installed)
    if served is None:
        return [f"a served version {VERSION}"]
    wanted = _schema(needed)
    assert wanted is not None
    return list(_missing(wanted, served, ""))


def _schema(definition: Schema) -> Schema | None:
    versions = cast("list[Schema]", definition["spec"]["versions"])
    served = next((item for item in versions if item["name"] == VERSION and item["served"]), None)
    return cast("Schema", served["schema"]["openAPIV3Schema"]) if served is not None else None


def _missing(needed: Schema, installed: Schema, path: str) -> Iterator[str]:
    properties = cast("Mapping[str, Schema]", needed.get("properties") or {})
    there = cast("Mapping[str, Schema]", installed.get("properties") or {})
    for name, member in properties.items():
        here = f"{path}.{name}" if path else name
        if name not in there:
            yield here
        else:
            yield from _missing(member, there[name], here)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if key in needed:
            yield from _missing(needed[key], cast("Schema", installed.get(key) or {}), f"{path}{suffix}")
    for value in cast("list[Any]", needed.get("enum") or []):
        if "enum" in installed and value not in installed["enum"]:
            yield f"{path}: {value}"
