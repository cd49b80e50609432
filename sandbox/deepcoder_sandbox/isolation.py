"""The canary: proves from inside that the kernel is gVisor's and nothing can be reached, before the first grade.

It looks twice: from the server's process, which has the pod's network (so network policies are seen to hold), and
from a program run as every untrusted one is. The kernel is taken for gVisor's when both its build line is the one
that gVisor shows and its log, by syslog(2), is gVisor's own: a runc container shows the host's log or is refused it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deepcoder_api.grading import IsolationReport, Limits
from deepcoder_sandbox import isolation_probe
from deepcoder_sandbox.launcher import Launcher, LauncherFailedError
from deepcoder_sandbox.stdin_tests import run_program
from deepcoder_sandbox.verdicts import failure

GVISOR_LOG = "gVisor"
# The build line that gVisor shows in place of a real kernel's, whatever its version.
GVISOR_BUILD = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
RETRY_SECONDS = 2.0
PROBE_LIMITS = Limits(timeout_seconds=30, memory_mib=1024, processes=64)


def api_server(environment: Mapping[str, str]) -> tuple[str, int]:
    """Where the cluster's API server is: from the environment, or where most clusters have it."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    return host, int(environment.get("KUBERNETES_SERVICE_PORT", "443"))


def look_from_program(launcher: Launcher) -> dict[str, Any]:
    """What `isolation_probe` sees when it runs as an untrusted program. Raises LauncherFailedError."""
    source = Path(isolation_probe.__file__).read_text()
    finished = run_program(launcher, source, json.dumps(api_server(os.environ)), PROBE_LIMITS)
    if failed := failure(finished, PROBE_LIMITS):
        return {"failed": f"{failed[0].value}: {failed[1]}"}
    return json.loads(finished.stdout)


def verify(
    run: Callable[[Callable[[Launcher], Any]], Any], missing: Mapping[str, str], required: bool
) -> IsolationReport:
    """Look once, from both places. `run` gives a launcher to a function; `missing` are namespaces not to be had."""
    server = isolation_probe.look(api_server(os.environ))
    try:
        program = run(look_from_program)
    except LauncherFailedError as error:
        program = {"failed": str(error)}
    failures = [f"no {name} namespace: {reason}" for name, reason in missing.items()]
    failures += findings("the server", server) + findings("a program", program)
    return IsolationReport(
        verified=not failures, required=required, kernel=server["kernel"][:300], failures=tuple(failures)
    )


def findings(place: str, seen: Mapping[str, Any]) -> list[str]:
    """What is not as it must be, for people. Pure."""
    if "failed" in seen:
        return [f"the probe in {place} failed: {seen['failed']}"]
    found = []
    if GVISOR_LOG not in seen["kernel_log"] or GVISOR_BUILD not in seen["kernel"]:
        found.append(f"the kernel under {place} is not gVisor's: {seen['kernel'][:80]}")
    found += [f"{place} reached {target}" for target in seen["reached"]]
    if seen["token"]:
        found.append(f"{place} can see a service account token")
    if seen["root_writable"]:
        found.append(f"{place} can write to the root file system")
    if seen["uid"] == 0:
        found.append(f"{place} runs as root")
    if seen["capabilities"].strip("0"):
        found.append(f"{place} has capabilities: {seen['capabilities']}")
    return found


def verify_until(
    look: Callable[[], IsolationReport],
    deadline: float,
    note: Callable[[IsolationReport], None],
    stop: threading.Event,
) -> IsolationReport:
    """Look again until verified, until `deadline` (monotonic seconds) or until `stop`.

    Network policies may take hold late, so one look that fails says little.
    """
    while True:
        report = look()
        note(report)
        if report.verified or time.monotonic() + RETRY_SECONDS > deadline or stop.wait(RETRY_SECONDS):
            return report
