"""What a machine must have: told with figures, and by what is left to do."""

from __future__ import annotations

import sys
from collections import namedtuple
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "dev"))  # its modules import each other from there

import machine

Usage = namedtuple("Usage", "total used free")


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="another system is told before its disk")
@pytest.mark.parametrize(
    ("built", "free", "needed"),
    [((), 29.9, 30), (("toolchain",), 19.9, 20), (("toolchain", "registry"), 9.9, 10), (("registry",), 29.9, 30)],
)
def test_too_little_disk_is_told_by_what_is_left_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: tuple[str, ...], free: float, needed: int
) -> None:
    """What was built has taken its share of the disk already: it is not asked for twice."""
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "MEMORY_GIB", 0)
    monkeypatch.setattr(machine, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(100 * 2**30, 0, int(free * 2**30)))
    for name in built:
        (tmp_path / name).mkdir()
    with pytest.raises(machine.MissingError, match=rf"needs {needed} GiB of free disk .* there are {free} GiB"):
        machine.check_machine(needs_go=False)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(100 * 2**30, 0, needed * 2**30))
    machine.check_machine(needs_go=False)
