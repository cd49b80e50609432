"""A file of problems as a local file, from wherever its URI says it lies. Nothing is held in memory."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deepcoder_data.hub import SCHEME as HUB
from deepcoder_data.hub import download_hub_file, hub_file_bytes
from deepcoder_data.store import ObjectMissingError, ObjectStore

GZIP_MAGIC = b"\x1f\x8b"
START_BYTES = 256 * 1024


@contextmanager
def local_file(store: ObjectStore, uri: str, folder: Path | None = None) -> Iterator[Path]:
    """The file at an s3://, hf:// or file:// URI, on this machine; what was fetched for it is removed afterwards.

    `folder` is where it is fetched to, the system's temporary folder otherwise. Raises StoreError.
    """
    if uri.startswith("file://"):
        yield local_path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="deepcoder-source-", dir=folder) as temporary:
        if uri.startswith(HUB):
            yield download_hub_file(uri, Path(temporary))
            return
        file = Path(temporary) / "content"
        store.download_file(uri, file)
        yield file


def local_path(uri: str, *, directory: bool = False) -> Path:
    """The path of a file:// URI. Raises ObjectMissingError when there is no such file (or `directory`)."""
    parts = urlsplit(uri)
    if parts.netloc:
        raise ObjectMissingError(f"{uri}: a local path is written with three slashes: file:///path")
    path = Path(unquote(parts.path))
    if not (path.is_dir() if directory else path.is_file()):
        raise ObjectMissingError(f"{uri}: there is no such {'folder' if directory else 'file'}")
    return path


def seems_empty(store: ObjectStore, uri: str) -> bool:
    """Whether a file has no content but white space, seen from its beginning alone. Raises StoreError.

    Of a file on the hub only the size is looked at.
    """
    if uri.startswith(HUB):
        return hub_file_bytes(uri) == 0
    if uri.startswith("file://"):
        with local_path(uri).open("rb") as file:
            start = file.read(START_BYTES)
    else:
        start = store.get_start(uri, START_BYTES)
    return not _uncompressed(start).strip()


def _uncompressed(start: bytes) -> bytes:
    if not start.startswith(GZIP_MAGIC):
        return start
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(start, START_BYTES)
    except zlib.error:
        return start  # damaged, so not empty: whoever reads it all will say so
