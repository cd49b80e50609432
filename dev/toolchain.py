"""Builds the cluster's programs from Go modules at pinned versions, each cached by a hash of its inputs.

`python3 dev/toolchain.py` builds what is missing and links everything into build/bin.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import cache_folder, check_go, check_machine, entry_point, run, timed

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).resolve().parent / "toolchain"
RECIPE = 1  # part of every hash: raise it when the way of building changes
BUILD_SECONDS = 3600.0


@dataclass(frozen=True)
class Tool:
    """One line of tools.json."""

    name: str
    kind: str
    minutes: int
    module: str = ""
    version: str = ""
    source: str = ""
    package: str = ""
    packages: tuple[str, ...] = ()
    tags: str = ""
    output: str = ""
    links: tuple[str, ...] = ()
    patch: tuple[tuple[str, str], ...] = ()
    # Package variables that the linker sets.
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, name: str, values: dict[str, Any]) -> Tool:
        """The tool of an entry of tools.json."""
        given = dict(values)
        for key in ("packages", "links"):
            given[key] = tuple(given.get(key, ()))
        for key in ("patch", "variables"):
            given[key] = tuple(sorted(given.get(key, {}).items()))
        return cls(name=name, **given)


def read_tools(file: Path = SOURCES / "tools.json") -> list[Tool]:
    """All tools, in the order in which they are built: the longest first."""
    return [Tool.read(name, values) for name, values in json.loads(file.read_text()).items()]


def tool_hash(tool: Tool, sources: Path = SOURCES) -> str:
    """A hash of everything that shapes the tool's binaries, the compiler's own version aside."""
    digest = hashlib.sha256(f"{RECIPE} {tool} {tool.variables or ''}".rstrip().encode())
    if tool.source:
        for file in sorted((sources / tool.source).iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def build(tool: Tool, into: Path) -> None:
    """Build the tool's binaries into the folder `into`. Raises MissingError."""
    with tempfile.TemporaryDirectory(prefix=f"deepcoder-{tool.name}-") as name:
        work = Path(name)
        if tool.kind == "install":
            _install(tool, into)
        elif tool.kind == "kubernetes":
            _build_kubernetes(tool, work, into)
        elif tool.kind == "patched":
            _build_patched(tool, work, into)
        else:
            _build_module(tool, work, into)
    for link in tool.links:
        (into / link).symlink_to(tool.name)


def _install(tool: Tool, into: Path) -> None:
    paths = [tool.module if package == "." else f"{tool.module}/{package}" for package in tool.packages]
    packages = [f"{path}@{tool.version}" for path in paths]
    _go(into, "install", *_flags(tool), *packages, GOBIN=str(into))


def _build_module(tool: Tool, work: Path, into: Path) -> None:
    _copy_source(tool, work)
    _go(work, "mod", "init", tool.name)
    if tool.module:
        _go(work, "get", f"{tool.module}@{tool.version}")
        _go(work, "mod", "tidy")
    _go(work, "build", *_flags(tool), "-o", str(into / tool.name), ".")


def _build_kubernetes(tool: Tool, work: Path, into: Path) -> None:
    # k8s.io/kubernetes replaces its staging modules by folders; who imports it must name each one's released twin.
    _copy_source(tool, work)
    download = json.loads(_go(work, "mod", "download", "-json", f"{tool.module}@{tool.version}"))
    twin = tool.version.replace("v1.", "v0.", 1)
    lines = [line.split() for line in (Path(download["Dir"]) / "go.mod").read_text().splitlines()]
    staged = [words[0] for words in lines if len(words) == 3 and words[1] == "=>" and words[2].startswith("./staging/")]
    replaced = "".join(f"\t{module} => {module} {twin}\n" for module in staged)
    text = f"module hyperkube\ngo 1.24\nrequire {tool.module} {tool.version}\nreplace (\n{replaced})\n"
    (work / "go.mod").write_text(text)
    _go(work, "mod", "tidy")
    ldflags = f"-s -w -X k8s.io/component-base/version.gitVersion={tool.version}"
    _go(work, "build", "-trimpath", "-ldflags", ldflags, "-o", str(into / tool.name), ".")


def _build_patched(tool: Tool, work: Path, into: Path) -> None:
    download = json.loads(_go(work, "mod", "download", "-json", f"{tool.module}@{tool.version}"))
    copy = work / "source"
    shutil.copytree(download["Dir"], copy, copy_function=shutil.copyfile)
    patch = dict(tool.patch)
    file = copy / patch["file"]
    text = file.read_text()
    if text.count(patch["from"]) != 1:
        raise ValueError(f"{tool.name}: {patch['file']} does not hold {patch['from']!r} once; the version has moved on")
    file.write_text(text.replace(patch["from"], patch["to"]))
    _go(copy, "build", *_flags(tool), "-o", str(into / tool.output), f"./{tool.package}")


def _copy_source(tool: Tool, work: Path) -> None:
    for file in (SOURCES / tool.source).glob("*.go"):
        shutil.copyfile(file, work / file.name)


def _flags(tool: Tool) -> list[str]:
    variables = "".join(f" -X {name}={value}" for name, value in tool.variables)
    return ["-ldflags", f"-s -w{variables}", *(("-tags", tool.tags) if tool.tags else ())]


def _go(folder: Path, *arguments: str, **environment: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return run(["go", *arguments], seconds=BUILD_SECONDS, folder=folder, CGO_ENABLED="0", GOWORK="off", **environment)


def cached(tool: Tool, cache: Path) -> Path:
    """The folder of the tool's binaries, built first when it is not there; two clones never build the same at once."""
    folder = cache / f"{tool.name}-{tool_hash(tool)}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{tool.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        check_go()
        with timed(f"building {tool.name} {tool.version} (about {tool.minutes} min on 2 cores)"):
            unfinished = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=cache))
            try:
                build(tool, unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def link_all(links: Path) -> None:
    """Build what is missing and link every binary into `links`."""
    links.mkdir(parents=True, exist_ok=True)
    for tool in read_tools():
        for binary in cached(tool, cache_folder() / "toolchain").iterdir():
            link = links / binary.name
            if link.is_symlink() and os.readlink(link) == str(binary):
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(binary)


def main() -> None:
    """Build and link all tools."""
    check_machine(needs_go=False)
    link_all(ROOT / "build" / "bin")


if __name__ == "__main__":
    entry_point(main)
