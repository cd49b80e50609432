"""W&B's own file of a run, as `wandb sync` would read it: LevelDB's log format around protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as messages

BLOCK = 32768
FILE_HEADER, PIECE_HEADER = 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def history(folder: Path) -> list[dict[str, Any]]:
    """What was logged, one dictionary a step, of the one run below `folder`."""
    rows = []
    (file,) = folder.rglob("run-*.wandb")
    for content in _records(file.read_bytes()):
        record: Any = messages.Record()  # pyright: ignore[reportAttributeAccessIssue]
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def _records(content: bytes) -> Iterator[bytes]:
    at, pieces = FILE_HEADER, b""
    while at < len(content):
        if BLOCK - at % BLOCK < PIECE_HEADER:  # the rest of a block that no header fits
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + PIECE_HEADER])
        pieces += content[at + PIECE_HEADER : at + PIECE_HEADER + length]
        at += PIECE_HEADER + length
        if kind in (FULL, LAST):
            yield pieces
            pieces = b""
