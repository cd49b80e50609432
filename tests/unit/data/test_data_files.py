"""Whether a file has content, from its beginning alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from deepcoder_data.files import seems_empty
from deepcoder_data.store import ObjectStore

STORE = ObjectStore(None, "us-east-1")  # file:// URIs never reach it


@pytest.mark.parametrize(
    ("content", "empty"),
    [
        (b"", True),
        (b" \n\r\n\t", True),
        (b"{}", False),
        (b"\n" * 1000 + b"{}", False),
        (gzip.compress(b""), True),
        (gzip.compress(b"\n \n"), True),
        (gzip.compress(b"{}"), False),
        (gzip.compress(b"x" * 3_000_000), False),
        (gzip.compress(b"{}")[:12] + b"damaged", False),
    ],
)
def test_white_space_is_no_content_compressed_or_not(tmp_path: Path, content: bytes, empty: bool) -> None:
    """What is damaged is not empty: whoever reads it says what is wrong."""
    file = tmp_path / "problems.jsonl"
    file.write_bytes(content)

    assert seems_empty(STORE, file.as_uri()) is empty
