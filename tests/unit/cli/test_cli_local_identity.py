"""Who a local run is, and how its attempts are counted."""

from __future__ import annotations

import itertools
from pathlib import Path

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
