"""Private tests that are compressed pickles: only one that is a string is read, and nothing of any other is done."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pickle
import pickletools
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_data import private_tests
from deepcoder_data.private_tests import private_tests_json
from deepcoder_data.rows import RowError


def packed(pickled: bytes) -> str:
    """The column, of a pickle."""
    return base64.b64encode(zlib.compress(pickled)).decode()


@given(text=st.text(st.characters(exclude_categories=["Cs"])), protocol=st.integers(1, pickle.HIGHEST_PROTOCOL))
def test_a_pickled_string_is_read(text: str, protocol: int) -> None:
    """Whatever it holds, by every binary protocol."""
    assert private_tests_json(packed(pickle.dumps(text, protocol))) == text


def test_json_is_taken_as_it_is() -> None:
    """Some rows have no pickle."""
    assert private_tests_json(' [{"input": ""}]') == ' [{"input": ""}]'


class Hostile:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: ["text", value], lambda value: {"text": value}])
def test_a_pickle_that_calls_is_refused_and_calls_nothing(tmp_path: Path, wrap: Any, protocol: int) -> None:
    """The classic attack: a function of the standard library, called on loading."""
    seen = tmp_path / "was here"
    pickled = pickle.dumps(wrap(Hostile(os.mkdir, str(seen))), protocol)

    with pytest.raises(RowError, match="private_test_cases: a pickle that is not one string"):
        private_tests_json(packed(pickled))

    assert not seen.exists()
    pickle.loads(pickled)
    assert seen.exists()  # the attack is one


@pytest.mark.parametrize("pickled", [b"cos\nmkdir\n.", b"(S'/tmp/x'\nios\nmkdir\n.", b"\x8c\x02os\x8c\x05mkdir\x93."])
def test_the_loader_itself_refuses_every_class(pickled: bytes) -> None:
    """It would hold even if instructions were not looked at before."""
    with pytest.raises(pickle.UnpicklingError, match=r"os\.mkdir is no string|posix\.mkdir is no string"):
        private_tests._StringUnpickler(io.BytesIO(pickled)).load()


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x04",
        pickle.dumps(b"bytes"),
        pickle.dumps(7),
        pickle.dumps(None),
        pickle.dumps(["text"]),
        pickle.dumps("text")[:-1],
        pickle.dumps("text")[:-4],
        b"\x80\x04.",
        b"\x8c\x01a\x8c\x01b.",
        b"\x8c\x01aP1\n.",
        b"\x8c\x01a\x97.",
        b"\xff" * 9,
        b"\x8d" + struct.pack("<Q", 2**62) + b"a.",
        b"\x95" + struct.pack("<Q", 2**62) + b"\x8c\x01a.",
        b"X\x02\x00\x00\x00\xff\xff.",
    ],
)
def test_anything_but_one_string_is_refused(pickled: bytes) -> None:
    """With the reason, never with another error."""
    with pytest.raises(RowError, match="private_test_cases: a pickle that is not one string"):
        private_tests_json(packed(pickled))


def test_a_pickle_cannot_ask_for_memory() -> None:
    """Ten bytes that remember their value under a number of four thousand million: 64 GiB for the loader."""
    pickled = b"\x8c\x01ar" + struct.pack("<I", 2**32 - 1) + b"."
    assert "LONG_BINPUT" in {instruction.name for instruction, _, _ in pickletools.genops(pickled)}

    with pytest.raises(RowError, match="LONG_BINPUT is refused"):
        private_tests_json(packed(pickled))


def test_what_grows_beyond_bounds_is_refused() -> None:
    """A few kilobytes may hold gigabytes. It is decompressed up to the bound only."""
    packed_tests = packed(pickle.dumps("0" * 5_000_000))
    assert len(packed_tests) < 10_000

    with pytest.raises(RowError, match="more than 1000000 bytes once decompressed"):
        private_tests_json(packed_tests, max_bytes=1_000_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no base64!", "neither JSON nor base64"),
        ("ümlaut", "neither JSON nor base64"),
        (base64.b64encode(b"not compressed").decode(), "not compressed by zlib"),
        (base64.b64encode(zlib.compress(pickle.dumps("text" * 99))[:-6]).decode(), "ends too early"),
        ("", "ends too early"),
    ],
)
def test_what_is_neither_is_said(text: str, said: str) -> None:
    """By the step that fails."""
    with pytest.raises(RowError, match=said):
        private_tests_json(text)


@given(pickled=st.binary(max_size=64))
def test_no_bytes_do_anything_but_be_a_string_or_be_refused(pickled: bytes) -> None:
    """Whatever comes, it is a string or a RowError."""
    with contextlib.suppress(RowError):
        assert isinstance(private_tests_json(packed(pickled)), str)
