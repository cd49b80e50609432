"""Under which conditions the base model answers problems: under equal ones nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from deepcoder_api.artifacts import ratings_uri
from deepcoder_api.difficulty_spec import Difficulty
from deepcoder_api.problems import Problem, Strict, test_suite
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_api.specification import SandboxLimits
from deepcoder_data.folders import file_digest
from deepcoder_data.hub import SCHEME as HUB
from deepcoder_data.hub import hub_commit
from deepcoder_data.models import MODEL_PATTERNS, matching, model_digest, model_directory
from deepcoder_data.store import ObjectMissingError, ObjectStore

FORMAT_REVISION = 1
"""Counts changes of what is asked and of how it is kept: answers of an older version are not reused."""
SEED = 2**31
"""What samples' seeds are hashed from: past every run's own seed, so the answers are of no run, and serve all."""
KEY_DIGITS = 32


class RatingConditions(Strict):
    """All that an answer and its grade depend on beside the problem and chance."""

    model: str
    tokenizer: str
    samples_per_prompt: int
    temperature: float
    max_response_tokens: int
    precision: str
    profile: str
    limits: SandboxLimits
    format_revision: int = FORMAT_REVISION

    @property
    def key(self) -> str:
        """A hash of them, in hex."""
        return _hash(self.model_dump(mode="json"))[:KEY_DIGITS]

    def answers_uri(self, storage_uri: str) -> str:
        """The folder of all answers given under these conditions."""
        return ratings_uri(storage_uri, self.key)

    def stage(self, first: ResolvedStage) -> ResolvedStage:
        """The run's first stage as far as sampling goes: so many answers, by seeds that are no run's."""
        own = {"samples_per_prompt": self.samples_per_prompt, "seed": SEED}
        return first.model_copy(update={"algorithm": first.algorithm.model_copy(update=own)})


def rating_conditions(run: ResolvedRun, difficulty: Difficulty, model: str, tokenizer: str) -> RatingConditions:
    """Those of a run: problems are answered as its first step would. `model` and `tokenizer` are digests."""
    first = run.stages[0]
    return RatingConditions(
        model=model,
        tokenizer=tokenizer,
        samples_per_prompt=difficulty.samples_per_prompt,
        temperature=first.algorithm.temperature,
        max_response_tokens=first.max_response_tokens,
        precision=run.spec.trainer.precision,
        profile=run.spec.sandbox.profile,
        limits=run.spec.sandbox.limits,
    )


def problem_key(problem: Problem) -> str:
    """What tells a problem from any other to model and grader, in hex. Where it comes from does not matter."""
    asked = [problem.id, problem.prompt, problem.program_prefix, test_suite(problem).content_hash()]
    return _hash(asked)


def base_model_digest(store: ObjectStore, uri: str, revision: str | None, claim: Path) -> str:
    """What tells the weights from any others: the commit, the checksums or ETags in S3, or the files' own sha256.

    Raises StoreError.
    """
    if uri.startswith(HUB):
        return f"commit:{hub_commit(uri, revision)}"
    if uri.startswith("s3://"):
        digest = model_digest(store, uri)
        if digest is None:
            raise ObjectMissingError(f"{uri}: there is no file")
        return digest
    folder = model_directory(uri, claim)
    names = matching([path.name for path in folder.iterdir() if path.is_file()], MODEL_PATTERNS)
    return f"sha256:{_hash([[name, file_digest(folder / name, name).sha256] for name in names])}"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
