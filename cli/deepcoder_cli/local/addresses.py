"""Where the parts of a local run are: free ports of the loopback, and folders under one state folder."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from deepcoder_api.processes import Addresses

LOOPBACK = "127.0.0.1"  # nobody else may reach them: vLLM's control routes ask for no key


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]


def local_addresses(state: Path, *, orchestrator_port: int, sandbox: str, engine_port: int) -> Addresses:
    """The addresses of a local run whose files are under `state`."""
    return Addresses(
        orchestrator=f"http://{LOOPBACK}:{orchestrator_port}",
        sandbox=sandbox,
        engine=f"http://{LOOPBACK}:{engine_port}",
        model_directory=str(state / "model"),
        work_directory=str(state / "work"),
        cache_directory="",
        config_path=str(state / "config.json"),
        python=sys.executable,
        bind=LOOPBACK,
    )
