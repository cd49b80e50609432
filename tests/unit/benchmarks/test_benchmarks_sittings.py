"""A report that is made in several sittings: what is taken up, and when it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.trainer.report import report
from benchmarks.trainer.sittings import OtherSittingError, Sittings

MACHINE: dict[str, Any] = {"cores": 2, "model": "a processor", "memory_mib": 24_000, "load_before": 0.1}


def sitting(**changes: Any) -> Sittings:
    """One that begins now."""
    asked = {"seeds": 3, "steps": None, **changes}
    return Sittings.begin({**MACHINE, **asked.pop("machine", {})}, asked["seeds"], asked["steps"])


def written(file: Path) -> Path:
    """The report of a sitting in which part d was measured and part b failed."""
    first = sitting()
    first.add("d", {"idle_share": 0.08}, load_before=0.123, seconds=61.26)
    file.write_text(json.dumps(report(first.measured, {"b": "TimeoutError: x"}) | {"sittings": first.told}))
    return file


def test_a_later_sitting_has_the_parts_of_the_earlier_one(tmp_path: Path) -> None:
    """With when and how they were measured; what failed is to be measured again."""
    later = sitting()
    later.take_up(written(tmp_path / "report.json"))
    assert later.measured == {"d": {"idle_share": 0.08}}
    assert (later.told["d"]["load_before"], later.told["d"]["seconds"], later.told["d"]["seeds"]) == (0.12, 61.3, 3)
    later.add("b", {"async_over_limit": 0.9}, load_before=0.0, seconds=1.0)
    assert report(later.measured, {})["idle_share"] == 0.08


def test_nothing_is_taken_up_where_nothing_was_measured(tmp_path: Path) -> None:
    """The first sitting may be told to go on as well."""
    first = sitting()
    first.take_up(tmp_path / "report.json")
    assert first.measured == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": 1}, "part d was measured with seeds 3 and not 1"),
        ({"steps": 6}, "steps None and not 6"),
        ({"machine": {"cores": 8}}, "cores 2 and not 8"),
    ],
)
def test_what_was_measured_another_way_is_no_part_of_the_report(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """A trial or another machine: refused by what differs."""
    with pytest.raises(OtherSittingError, match=said):
        sitting(**changes).take_up(written(tmp_path / "report.json"))
