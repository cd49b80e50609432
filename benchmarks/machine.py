"""What a measurement was made on, so that figures of two machines are never taken for figures of one."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

MIB = 1024 * 1024
ROOT = Path(__file__).resolve().parents[1]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def describe_machine(runsc: Path | None = None) -> dict[str, str | int | float]:
    """Cores, model, memory, kernel, interpreter, load, and the runsc that is used, if any."""
    described: dict[str, str | int | float] = {
        "cores": cores(),
        "model": cpu_model(Path("/proc/cpuinfo").read_text()),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }
    if runsc is not None:
        described |= {"runsc": _version(runsc), "runsc_build": runsc.resolve().parent.name}
        described["runsc_platform"] = default_platform(_output([str(runsc), "flags"]))
    return described


def process_mib(field: str) -> float:
    """A size of this process by /proc/self/status, in MiB: VmRSS is held now, VmHWM the most that was since it began.

    getrusage's ru_maxrss is no such peak: a process that was started by a larger one begins with the peak of that.
    """
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, f"/proc/self/status has no {field}"
    return int(found.group(1)) / 1024


def cpu_model(cpuinfo: str) -> str:
    """The processor's name as /proc/cpuinfo has it."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def default_platform(flags: str) -> str:
    """The platform that runsc takes when it is not told one, from the text of `runsc flags`."""
    found = re.search(r'-platform string\n.*\(default "(\w+)"\)', flags)
    return found.group(1) if found else "unknown"


def _version(runsc: Path) -> str:
    return _output([str(runsc), "--version"]).partition("\n")[0].removeprefix("runsc version ")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout + done.stderr
