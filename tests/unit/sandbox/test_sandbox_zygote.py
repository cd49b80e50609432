"""What the zygote leaves for programs to import."""

from __future__ import annotations

import pytest

from deepcoder_sandbox.zygote import program_path

STANDARD = ["/usr/lib/python311.zip", "/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload"]
SITE = "/opt/deepcoder/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("path", "package_folder", "expected"),
    [
        (["/clone/sandbox", *STANDARD, SITE], "/clone/sandbox", [*STANDARD, SITE]),
        ([SITE, *STANDARD, SITE], SITE, [*STANDARD, SITE]),
        (["", *STANDARD], "/clone/sandbox", STANDARD),
    ],
)
def test_programs_import_the_libraries_that_are_installed(path, package_folder, expected):
    """A clone's own packages are hidden; an image's site-packages stays, behind the standard library."""
    assert program_path(path, package_folder, [SITE]) == expected
