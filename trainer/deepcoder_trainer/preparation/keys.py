"""The key of a dataset: a hash of all that shapes it: an equal one is reused, a different one is not. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from deepcoder_api.resolve import ResolvedRun

FORMAT_REVISION = 2
"""Counts changes of the file's schema, of the readers, and of the checks: what an older version wrote is not reused."""
KEY_DIGITS = 32


def dataset_key(run: ResolvedRun, source_digests: Mapping[str, str], tokenizer_digest: str) -> str:
    """The key, in hex. `source_digests` has the sha256 of each source's content by the source's name.

    Where the sources and the model lie does not matter, only what they hold. The sandbox's profile and
    limits matter only when solutions are run.
    """
    data = run.spec.data
    verifies = data.verify_solutions != "Never"
    shape = {
        "format": FORMAT_REVISION,
        "sources": [
            [source.model_dump(mode="json", exclude={"uri"}), source_digests[source.name]] for source in data.sources
        ],
        "data": data.model_dump(mode="json", exclude={"sources"}),
        "tokenizer": tokenizer_digest,
        "limits": run.spec.sandbox.limits.model_dump(mode="json") if verifies else None,
        "profile": run.spec.sandbox.profile if verifies else None,
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
