"""Where an evaluation's results lie: a folder of named objects, in S3 or on this machine. A put is whole or absent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from deepcoder_data.store import ObjectMissingError, ObjectStore, StoreError


class ResultFolder(Protocol):
    """Names have forward slashes. Every method raises StoreError; `get` ObjectMissingError."""

    @property
    def uri(self) -> str:
        """Where it is, for people and reports."""
        ...

    def names(self, under: str) -> Iterator[str]:
        """The names of all objects under the folder `under`."""
        ...

    def get(self, name: str) -> bytes:
        """The content of an object."""
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        ...

    def put_file(self, name: str, file: Path) -> None:
        """Write an object with the content of a file."""
        ...


class StoredFolder:
    """A folder of the object store."""

    def __init__(self, store: ObjectStore, uri: str) -> None:
        self._store = store
        self.uri = uri

    def names(self, under: str) -> Iterator[str]:
        """The names of all objects under the folder `under`."""
        for entry in self._store.list(f"{self.uri}/{under}"):
            yield entry.uri.removeprefix(f"{self.uri}/")

    def get(self, name: str) -> bytes:
        """The content of an object."""
        return self._store.get_bytes(f"{self.uri}/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        self._store.put_bytes(f"{self.uri}/{name}", content)

    def put_file(self, name: str, file: Path) -> None:
        """Write an object with the content of a file."""
        self._store.upload_file(file, f"{self.uri}/{name}")


class LocalFolder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def uri(self) -> str:
        """As a file:// URI."""
        return self._path.as_uri()

    def names(self, under: str) -> Iterator[str]:
        """The names of all files under the folder `under`; none where it is not there."""
        for path in (self._path / under).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self._path).as_posix()

    def get(self, name: str) -> bytes:
        """The content of a file."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissingError(f"{self._path / name}: there is no such file") from error
        except OSError as error:
            raise StoreError(f"{self._path / name}: {error}") from error

    def put(self, name: str, content: bytes) -> None:
        """Write a file; it appears whole."""
        path = self._path / name
        beside = path.parent / f".{uuid.uuid4().hex}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(content)
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise StoreError(f"{path}: {error}") from error

    def put_file(self, name: str, file: Path) -> None:
        """Write a file with the content of another."""
        self.put(name, file.read_bytes())
