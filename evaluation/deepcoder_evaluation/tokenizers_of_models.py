"""The tokenizer of a measured model on this machine: what cuts answers, and what its report says of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from deepcoder_data.fetch_model import fetch_tokenizer
from deepcoder_data.models import TOKENIZER_PATTERNS, matching
from deepcoder_data.store import ObjectStore, StoreError
from deepcoder_evaluation.job import EvaluationJob

log = structlog.get_logger("tokenizer")
THINKING = "<think>"


@dataclass(frozen=True)
class ModelTokenizer:
    """A tokenizer's folder, the digest of its files, and its chat template, where it has one."""

    folder: Path
    sha256: str
    chat_template: str | None

    @property
    def chat_template_sha256(self) -> str | None:
        """Digest of the chat template."""
        return None if self.chat_template is None else hashlib.sha256(self.chat_template.encode()).hexdigest()

    @property
    def is_for_reasoning(self) -> bool:
        """Whether the template speaks of thinking: such a model's answers are long."""
        return THINKING in (self.chat_template or "")


def model_tokenizer(store: ObjectStore, uri: str, folder: Path) -> ModelTokenizer:
    """Bring a model's tokenizer into `folder`. Raises StoreError."""
    fetch_tokenizer(store, uri, folder)
    digest = hashlib.sha256()
    for name in matching([path.name for path in folder.iterdir()], TOKENIZER_PATTERNS):
        content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return ModelTokenizer(folder, digest.hexdigest(), _chat_template(folder))


def tokenizer_of(store: ObjectStore, job: EvaluationJob, folder: Path) -> ModelTokenizer | None:
    """The tokenizer of a job's model. Raises StoreError where answers must be cut by it: else reports do without."""
    if job.tokenizer is None:
        return None
    try:
        return model_tokenizer(store, job.tokenizer, folder)
    except StoreError as error:
        if len(job.lengths) > 1:
            raise
        log.warning("the report will not name the tokenizer", uri=job.tokenizer, error=str(error))
        return None


def _chat_template(folder: Path) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text()
    configuration = folder / "tokenizer_config.json"
    if not configuration.is_file():
        return None
    try:
        template = json.loads(configuration.read_bytes()).get("chat_template")
    except (ValueError, AttributeError):
        return None
    return template if isinstance(template, str) else None
