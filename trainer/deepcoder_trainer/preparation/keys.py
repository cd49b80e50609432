"""The key of a dataset: a hash of all that shapes it: an equal one is reused, a different one is not. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.training_run import ProblemSource
from deepcoder_trainer.preparation.rating_conditions import RatingConditions

FORMAT_REVISION = 4
"""Counts changes of the file's schema, of the readers, and of the checks: what an older version wrote is not reused."""
KEY_DIGITS = 32


@dataclass(frozen=True)
class Digests:
    """The sha256 of each source's content, of each decontamination source's and each validation source's, by name."""

    sources: Mapping[str, str]
    decontamination: Mapping[str, str] = field(default_factory=dict[str, str])
    validation: Mapping[str, str] = field(default_factory=dict[str, str])


def dataset_key(
    run: ResolvedRun, digests: Digests, tokenizer_digest: str, rated: RatingConditions | None = None
) -> str:
    """The key, in hex. `rated`: how problems are rated, where they are.

    Where the sources and the model lie does not matter, only what they hold. The sandbox's profile and
    limits matter only when solutions or answers are run; the model's weights, only when it answers.
    """
    data = run.spec.data
    verifies = data.verify_solutions != "Never"
    shape: dict[str, Any] = {
        "format": FORMAT_REVISION,
        "sources": [_content(source, digests.sources) for source in data.sources],
        "decontaminate": [_content(source, digests.decontamination) for source in data.decontaminate],
        "data": data.model_dump(mode="json", exclude={"sources", "decontaminate", "difficulty"}),
        "tokenizer": tokenizer_digest,
        "limits": run.spec.sandbox.limits.model_dump(mode="json") if verifies else None,
        "profile": run.spec.sandbox.profile if verifies else None,
    }
    if run.spec.validation is not None:
        shape["validation"] = [_content(source, digests.validation) for source in run.spec.validation.sources]
    if data.difficulty is not None and rated is not None:
        shape["difficulty"] = [data.difficulty.model_dump(mode="json"), rated.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]


def _content(source: ProblemSource, digests: Mapping[str, str]) -> list[Any]:
    return [source.model_dump(mode="json", exclude={"uri"}), digests[source.name]]
