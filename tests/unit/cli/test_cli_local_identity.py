"""Who a local run is, and how its attempts are counted."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import pytest

from deepcoder_cli.local import identity
from deepcoder_cli.local.identity import attempts, identity_of
from tests.resolved_runs import resolved_run

SPEC = resolved_run().spec


def test_second_call_goes_on_with_the_same_run(tmp_path: Path) -> None:
    """An equal specification has the same uid, so that its checkpoints and its journal are found again."""
    first = identity_of(SPEC, tmp_path / "run")
    assert identity_of(resolved_run().spec, tmp_path / "run").uid == first.uid
    assert identity_of(SPEC, tmp_path / "other").uid != first.uid


def test_attempts_are_counted_over_calls(tmp_path: Path) -> None:
    """No number is given twice: it fences the writers of every earlier attempt."""
    identity_of(SPEC, tmp_path)
    assert list(itertools.islice(attempts(tmp_path), 2)) == [1, 2]
    identity_of(SPEC, tmp_path)
    assert list(itertools.islice(attempts(tmp_path), 2)) == [3, 4]


def test_changed_specification_is_another_run(tmp_path: Path) -> None:
    """Its first attempt is 1 again, and nothing of the old run is taken up."""
    old = identity_of(SPEC, tmp_path)
    assert next(attempts(tmp_path)) == 1
    new = identity_of(resolved_run(checkpoint={"everySteps": 1}).spec, tmp_path)
    assert new.uid != old.uid
    assert next(attempts(tmp_path)) == 1


def test_a_full_disk_is_waited_for_and_costs_no_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept stays whole while the disk is full, and the next attempt's number is given once it is kept."""
    uid = identity_of(SPEC, tmp_path).uid
    write, refusals = Path.write_text, iter([errno.ENOSPC, errno.EDQUOT])

    def write_text(file: Path, content: str) -> int:
        if (code := next(refusals, None)) is not None:
            write(file, content[:9])
            raise OSError(code, "no room")
        return write(file, content)

    monkeypatch.setattr(identity, "PAUSE_SECONDS", 0.0)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", write_text)
        assert next(attempts(tmp_path)) == 1
    assert next(refusals, None) is None
    assert identity_of(SPEC, tmp_path).uid == uid
    assert next(attempts(tmp_path)) == 2


def test_a_disk_that_stays_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ROOM_SECONDS; another fault of the disk at once."""
    identity_of(SPEC, tmp_path)
    monkeypatch.setattr(identity, "ROOM_SECONDS", -1.0)
    for code in (errno.ENOSPC, errno.EIO):

        def refuse(file: Path, content: str, code: int = code) -> int:
            raise OSError(code, "refused")

        with monkeypatch.context() as full:
            full.setattr(Path, "write_text", refuse)
            with pytest.raises(OSError, match="refused"):
                next(attempts(tmp_path))
