"""What a run is frozen to at its start: the resolved resource and the images, in one immutable ConfigMap. No I/O.

Every attempt is rendered from it, so neither a changed default nor an operator upgrade changes a live run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deepcoder_api.processes import Image
from deepcoder_api.resolve import ResolvedEvaluation, ResolvedRun
from deepcoder_operator.labels import Owner
from deepcoder_operator.settings import PullPolicy, Settings

CONFIG_KEY = "config.json"
IMAGES_KEY = "images.json"

Resolved = TypeVar("Resolved", ResolvedRun, ResolvedEvaluation)


class FrozenConfigError(ValueError):
    """A ConfigMap of ours that this operator cannot read. A retry does not help."""


@dataclass(frozen=True)
class Images:
    """Where the images of all roles come from, and how they are pulled."""

    references: Mapping[Image, str]
    pull_policy: PullPolicy
    pull_secrets: tuple[str, ...] = ()

    def find(self, image: Image) -> str | None:
        """The reference of an image; None where none was given. vLLM is what the rollout servers have too."""
        return self.references.get(image) or (self.references["rollout"] if image == "engine-vllm" else None)


@dataclass(frozen=True)
class Frozen(Generic[Resolved]):
    """The resolved resource and its images."""

    resource: Resolved
    images: Images


def images_of(settings: Settings) -> Images:
    """The images that a run which starts now is frozen to."""
    return Images(settings.images, settings.pull_policy, settings.pull_secrets)


def config_map(owner: Owner, resource: ResolvedRun | ResolvedEvaluation, images: Images) -> dict[str, Any]:
    """The immutable ConfigMap that freezes a resource."""
    frozen_images = {
        "images": dict(images.references),
        "pullPolicy": images.pull_policy,
        "pullSecrets": list(images.pull_secrets),
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": owner.child("config"),
            "namespace": owner.namespace,
            "labels": owner.labels(),
            "ownerReferences": [owner.reference()],
        },
        "immutable": True,
        "data": {
            CONFIG_KEY: resource.model_dump_json(by_alias=True, indent=1),
            IMAGES_KEY: json.dumps(frozen_images, indent=1),
        },
    }


def read_frozen(model: type[Resolved], data: Mapping[str, str]) -> Frozen[Resolved]:
    """What a ConfigMap of `config_map` holds. Raises FrozenConfigError."""
    try:
        images = json.loads(data[IMAGES_KEY])
        return Frozen(
            resource=model.model_validate_json(data[CONFIG_KEY]),
            images=Images(images["images"], images["pullPolicy"], tuple(images["pullSecrets"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FrozenConfigError(f"the frozen configuration cannot be read: {error}") from error
