"""The operator's settings, read once from the environment that the chart sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deepcoder_api.processes import ENGINE_IMAGES, Image, RoleImage

PullPolicy = Literal["Always", "IfNotPresent", "Never"]
IMAGE_ROLES: tuple[RoleImage, ...] = ("worker", "trainer", "rollout", "sandbox")


class SettingsError(ValueError):
    """A variable that is missing or wrong. The operator cannot start; a retry does not help."""


@dataclass(frozen=True)
class Settings:
    """What the operator was told at start. `images` has every role's, and of the engines' those that were given.

    `namespaces` empty means the whole cluster.
    """

    images: dict[Image, str]
    pull_policy: PullPolicy
    pull_secrets: tuple[str, ...]
    namespaces: tuple[str, ...]
    own_namespace: str
    port: int
    workers: int


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from DEEPCODER_* variables. Raises SettingsError."""
    images: dict[Image, str] = {}
    for role in IMAGE_ROLES:
        variable = f"DEEPCODER_IMAGE_{role.upper()}"
        if not environment.get(variable):
            raise SettingsError(f"{variable} is not set: it must name the image of the {role} pods")
        images[role] = environment[variable]
    for engine in ENGINE_IMAGES.values():
        if given := environment.get(f"DEEPCODER_IMAGE_{engine.upper().replace('-', '_')}"):
            images[engine] = given
    policy = environment.get("DEEPCODER_IMAGE_PULL_POLICY") or "IfNotPresent"
    if policy not in ("Always", "IfNotPresent", "Never"):
        raise SettingsError(f"DEEPCODER_IMAGE_PULL_POLICY is {policy!r}: it must be Always, IfNotPresent or Never")
    return Settings(
        images=images,
        pull_policy=policy,
        pull_secrets=_listed(environment.get("DEEPCODER_IMAGE_PULL_SECRETS", "")),
        namespaces=_listed(environment.get("DEEPCODER_NAMESPACES", "")),
        own_namespace=environment.get("POD_NAMESPACE") or "deepcoder-system",
        port=_whole(environment, "DEEPCODER_PORT", 8080),
        workers=_whole(environment, "DEEPCODER_WORKERS", 8),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{variable} is {text!r}: it must be a whole number of at least 1")
    return int(text)
