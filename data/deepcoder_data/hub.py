"""The Hugging Face hub by hf:// URI, with its errors turned into the store's at this one place.

hf://organisation/name is a model, hf://datasets/organisation/name/path a data set's file; a revision may follow the
name after an @, as huggingface_hub itself writes them. HF_TOKEN and HF_ENDPOINT are read by huggingface_hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, RepoFile, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage] # of whichever HTTP library the hub's client uses
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import parse_hf_uri

from deepcoder_data.store import AccessDeniedError, ObjectMissingError, StoreError, StoreUnavailableError

SCHEME = "hf://"


@dataclass(frozen=True)
class HubLocation:
    """A repository of the hub, at a revision, and a path in it ("" for all of it). `kind` is model or dataset."""

    kind: str
    repository: str
    revision: str | None
    path: str


def hub_location(uri: str, revision: str | None = None) -> HubLocation:
    """What an hf:// URI names; `revision` counts where the URI has none. Raises ObjectMissingError for a bad URI."""
    try:
        parsed = parse_hf_uri(uri)
    except ValueError as error:
        raise ObjectMissingError(f"{uri}: {error}") from error
    if parsed.type not in ("model", "dataset"):
        raise ObjectMissingError(f"{uri}: names a {parsed.type}; a model or a file of a data set is needed")
    return HubLocation(parsed.type, parsed.id, parsed.revision or revision, parsed.path_in_repo.strip("/"))


def hub_files(uri: str, revision: str | None = None) -> dict[str, int]:
    """Bytes of every file at the URI, by its path under it. Raises StoreError."""
    at = hub_location(uri, revision)
    with _translated(uri):
        entries = list(
            HfApi().list_repo_tree(
                at.repository, at.path or None, recursive=True, revision=at.revision, repo_type=at.kind
            )
        )
    return {
        entry.path.removeprefix(f"{at.path}/" if at.path else ""): entry.size
        for entry in entries
        if isinstance(entry, RepoFile)
    }


def hub_file_bytes(uri: str) -> int:
    """Bytes of the one file that the URI names. Raises ObjectMissingError when it is not there."""
    size = _file_bytes(uri)
    if size is None:
        raise ObjectMissingError(f"{uri}: there is no such file in the repository {hub_location(uri).repository}")
    return size


def hub_has_file(uri: str) -> bool:
    """Whether the URI names a file, and not a folder or nothing at all. Raises StoreError."""
    return _file_bytes(uri) is not None


def _file_bytes(uri: str) -> int | None:
    at = hub_location(uri)
    if not at.path:
        return None
    with _translated(uri):
        found = HfApi().get_paths_info(at.repository, [at.path], revision=at.revision, repo_type=at.kind)
    return found[0].size if found and isinstance(found[0], RepoFile) else None


def hub_commit(uri: str, revision: str | None = None) -> str:
    """The commit that the URI means now. Raises StoreError."""
    at = hub_location(uri, revision)
    with _translated(uri):
        commit = HfApi().repo_info(at.repository, revision=at.revision, repo_type=at.kind).sha
    if commit is None:
        raise StoreError(f"{uri}: the hub names no commit")
    return commit


def download_hub_file(uri: str, folder: Path, revision: str | None = None) -> Path:
    """Fetch the one file that the URI names into `folder`; returns where it lies. Raises StoreError."""
    at = hub_location(uri, revision)
    with _translated(uri):
        file = hf_hub_download(
            at.repository, at.path, revision=at.revision, repo_type=at.kind, local_dir=folder, etag_timeout=30
        )
    return Path(str(file))


def download_hub_model(uri: str, revision: str | None, patterns: Sequence[str], folder: Path) -> None:
    """Fetch a model's files that match `patterns`, those of its subfolders apart. What is there stays."""
    at = hub_location(uri, revision)
    if at.path:
        raise ObjectMissingError(f"{uri}: a model is a whole repository, hf://organisation/name")
    with _translated(uri):
        snapshot_download(
            at.repository,
            revision=at.revision,
            local_dir=folder,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],
            etag_timeout=30,
        )


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise AccessDeniedError(f"{uri}: the repository is gated; the token of HF_TOKEN has no access to it") from error
    except RepositoryNotFoundError as error:
        raise ObjectMissingError(
            f"{uri}: the hub has no such repository, or HF_TOKEN may not see it (is it private?)"
        ) from error
    except RevisionNotFoundError as error:
        raise ObjectMissingError(f"{uri}: the repository has no such revision") from error
    except LocalEntryNotFoundError as error:
        raise StoreUnavailableError(f"{uri}: the hub does not answer: {error}") from error
    except EntryNotFoundError as error:
        raise ObjectMissingError(f"{uri}: there is no such file") from error
    except HfHubHTTPError as error:
        raise _of_status(uri, error) from error
    except HTTPError as error:
        raise StoreUnavailableError(f"{uri}: the hub does not answer: {type(error).__name__}: {error}") from error


def _of_status(uri: str, error: HfHubHTTPError) -> StoreError:
    status = error.response.status_code
    if status in (401, 403):
        return AccessDeniedError(f"{uri}: the hub refuses HF_TOKEN with status {status}")
    if status == 429 or status >= 500:
        return StoreUnavailableError(f"{uri}: the hub answers with status {status}")
    return StoreError(f"{uri}: the hub answers with status {status}: {error}")
