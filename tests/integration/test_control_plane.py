"""The tests' own control plane: it says what it lacks and why it does not come up, and nothing of it stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import control_plane
from tests.control_plane import ControlPlaneError, running_control_plane


def processes_in(folder: Path) -> list[str]:
    """Names of the processes that run in a folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder):
                found.append((process / "comm").read_text().strip())
        except OSError:  # it has ended since, or is another user's
            continue
    return sorted(found)


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone without the toolchain hears what to run."""
    monkeypatch.setattr(control_plane, "BINARIES", tmp_path)
    with (
        pytest.raises(ControlPlaneError, match=r"etcd, .*not in build/bin; run `make integration`, which builds them"),
        running_control_plane(),
    ):
        pass


def test_an_end_before_it_is_ready_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, its exit code and the end of its log."""
    for name in control_plane.PROGRAMS:
        (tmp_path / name).symlink_to((control_plane.BINARIES / name).resolve())
    (tmp_path / "etcd").unlink()
    (tmp_path / "etcd").write_text("#!/bin/sh\necho no space left\nexit 3\n")
    (tmp_path / "etcd").chmod(0o755)
    monkeypatch.setattr(control_plane, "BINARIES", tmp_path)
    with pytest.raises(ControlPlaneError, match="etcd ended with exit code 3:\nno space left"), running_control_plane():
        pass


def test_nothing_is_left() -> None:
    """Neither processes nor the folder."""
    with running_control_plane(crds=None) as plane:
        assert processes_in(plane.folder) == ["etcd", "kube-apiserver", "kube-controller"]
    assert processes_in(plane.folder) == []
    assert not plane.folder.exists()
