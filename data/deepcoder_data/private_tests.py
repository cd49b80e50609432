"""LiveCodeBench's private tests: JSON, or base64 of zlib of a pickle of the JSON text. Nothing of a pickle is trusted.

Only a pickle that is one string is read. Its instructions are looked at first, one by one, and none but those that
make and remember a string may stand there: nothing is imported, called or built, and no memory is asked for. Then it
is loaded by a loader that would refuse every class.
"""

from __future__ import annotations

import base64
import io
import pickle
import pickletools
import zlib
from typing import NoReturn

from deepcoder_data.rows import RowError

MAX_BYTES = 256 * 1024 * 1024
COLUMN = "private_test_cases"
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_HARMLESS = _STRINGS | {"PROTO", "FRAME", "MEMOIZE", "STOP"}
# The loader makes room for as many values as such a number says.
_NUMBERED = frozenset({"BINPUT", "LONG_BINPUT"})
_MAX_NUMBER = 255


def private_tests_json(text: str, max_bytes: int = MAX_BYTES) -> str:
    """The JSON text of the column, which holds at most `max_bytes` once decompressed. Raises RowError."""
    if text.lstrip().startswith(("[", "{")):
        return text
    try:
        compressed = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise RowError(f"{COLUMN}: neither JSON nor base64: {error}") from error
    return _string(_decompressed(compressed, max_bytes))


def _decompressed(compressed: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(compressed, max_bytes + 1)
    except zlib.error as error:
        raise RowError(f"{COLUMN}: not compressed by zlib: {error}") from error
    if len(content) > max_bytes:
        raise RowError(f"{COLUMN}: more than {max_bytes} bytes once decompressed")
    if not decompressor.eof:
        raise RowError(f"{COLUMN}: the compressed data ends too early")
    return content


class _StringUnpickler(pickle.Unpickler):
    """Loads what needs no class."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is no string")

    def persistent_load(self, pid: object, /) -> NoReturn:
        raise pickle.UnpicklingError("a reference is no string")


def _string(pickled: bytes) -> str:
    try:
        _check_instructions(pickled)
        value = _StringUnpickler(io.BytesIO(pickled)).load()
    except (pickle.UnpicklingError, ValueError, EOFError, IndexError, OverflowError, MemoryError) as error:
        raise RowError(f"{COLUMN}: a pickle that is not one string: {error}") from error
    if not isinstance(value, str):
        raise RowError(f"{COLUMN}: a pickle that is not one string")
    return value


def _check_instructions(pickled: bytes) -> None:
    strings = 0
    for instruction, argument, _ in pickletools.genops(pickled):
        numbered = instruction.name in _NUMBERED and isinstance(argument, int) and argument <= _MAX_NUMBER
        if instruction.name not in _HARMLESS and not numbered:
            raise pickle.UnpicklingError(f"the instruction {instruction.name} is refused")
        strings += instruction.name in _STRINGS
    if strings != 1:
        raise pickle.UnpicklingError(f"{strings} strings")
