"""Takes CUDA's libraries out of an installed torch that will never see a GPU, and leaves small stand-ins.

PyPI has torch for Linux only with CUDA: libtorch_cuda.so names its libraries, so they must be there, but on a CPU
nothing calls them. Each stand-in has the name, the versions and the functions that torch links against; every function
returns 1, an error code in each of these libraries, so that a call fails as it would on a broken driver. Needs gcc and
nm. Run while the heavy image is built: python3 without_cuda.py SITE_PACKAGES
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STAND_INS = frozenset(
    {
        "libcublas.so.13",
        "libcublasLt.so.13",
        "libcufft.so.12",
        "libcurand.so.10",
        "libcusolver.so.12",
        "libcusparse.so.12",
        "libcusparseLt.so.0",
        "libnccl.so.2",
        "libnvrtc.so.13",
        "libnvshmem_host.so.3",
    }
)
# Small, and called when there is no GPU too: torch.cuda.is_available(), torch.backends.cudnn.version(), the profiler.
KEPT = frozenset({"libcudart.so.13", "libcudnn.so.9", "libcufile.so.0", "libcupti.so.13"})
TOOL_SECONDS = 60


def parse_symbols(listing: str) -> dict[str, str]:
    """Symbol to version ("" without one) of what `nm -D` printed."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, version = line.split()[-1].partition("@")
        found[name] = version.removeprefix("@")
    return found


def version_script(functions: dict[str, str], versions: frozenset[str]) -> str:
    """A linker script that defines the versions, each with its functions; empty when the library has no versions."""
    lines: list[str] = []
    for version in sorted(versions):
        names = sorted(name for name, own in functions.items() if own == version)
        lines.append(f"{version} {{ {'global: ' if names else ''}{' '.join(f'{name};' for name in names)} }};\n")
    return "".join(lines)


def source(names: list[str]) -> str:
    """C for a library whose every function fails."""
    return "".join(f"int {name}(void) {{ return 1; }}\n" for name in names)


def symbols(library: Path, which: str) -> dict[str, str]:
    """The dynamic symbols of a library: `which` is --defined-only or --undefined-only."""
    listing = subprocess.run(
        ["nm", "-D", which, str(library)], check=True, capture_output=True, text=True, timeout=TOOL_SECONDS
    )
    return parse_symbols(listing.stdout)


def replace(library: Path, called: frozenset[str]) -> None:
    """Puts a stand-in where the library was: all of its versions, and those of its functions that are called."""
    defined = symbols(library, "--defined-only")
    functions = {name: version for name, version in defined.items() if name in called and name != version}
    script = library.with_suffix(".map")
    script.write_text(version_script(functions, frozenset(version for version in defined.values() if version)))
    versioned = (f"-Wl,--version-script={script}",) if script.stat().st_size else ()
    library.unlink()
    compiler = ("gcc", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w", f"-Wl,-soname,{library.name}")
    subprocess.run(
        (*compiler, *versioned, "-o", str(library), "-x", "c", "-"),
        input=source(sorted(functions)),
        check=True,
        text=True,
        timeout=TOOL_SECONDS,
    )
    script.unlink()


def main(site_packages: Path) -> None:
    """Deletes or replaces every CUDA library and header; a stand-in whose library is not there is an error."""
    users = [symbols(path, "--undefined-only") for path in sorted((site_packages / "torch" / "lib").glob("*.so"))]
    called = frozenset(name for user in users for name in user)
    replaced: set[str] = set()
    for path in sorted((site_packages / "nvidia").rglob("*")):
        if not path.is_file() or path.name in KEPT:
            continue
        if path.name in STAND_INS:
            replace(path, called)
            replaced.add(path.name)
        elif ".so" in path.name or path.suffix in {".a", ".bc", ".h", ".hpp", ".cuh"}:
            path.unlink()
    if replaced != STAND_INS:
        sys.exit(f"not among the installed CUDA libraries: {', '.join(sorted(STAND_INS - replaced))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
