"""The processes of a `deepcoder run` by what they are, read from /proc, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepcoder_sandbox.tree_usage import descendants


@dataclass(frozen=True)
class Running:
    """One process and the words it was started with."""

    pid: int
    words: tuple[str, ...]

    def after(self, option: str) -> str:
        """The value of an option; empty when it has none."""
        return self.words[self.words.index(option) + 1] if option in self.words[:-1] else ""


def processes(root: int) -> list[Running]:
    """All below `root` that have not ended."""
    found = (Running(pid, _words(pid)) for pid in descendants(root))
    return [process for process in found if process.words]


def trainers(running: Iterable[Running]) -> list[Running]:
    """The trainer pods, each the parent of its torchrun and, in the first, of the orchestrator."""
    return [process for process in running if "deepcoder_trainer.launch" in process.words]


def ranks(running: Iterable[Running]) -> list[Running]:
    """The ranks themselves; torchrun names their module too."""
    return [
        process
        for process in running
        if "deepcoder_trainer.ranks" in process.words and "torch.distributed.run" not in process.words
    ]


def rollouts(running: Iterable[Running]) -> list[Running]:
    """The agents; vLLM is below each."""
    return [process for process in running if "deepcoder_rollout.agent" in process.words]


def sandboxes(running: Iterable[Running]) -> list[Running]:
    """The grading servers: runsc's own process where there is gVisor."""
    return [
        process
        for process in running
        if "deepcoder_sandbox.server" in process.words
        or (process.words[0].endswith("runsc") and "run" in process.words)
    ]


def kill(pids: Iterable[int]) -> int:
    """SIGKILL to all of them at once; how many were there."""
    killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def kill_tree(pid: int) -> int:
    """A process and all below it, as when a node is lost."""
    return kill([pid, *descendants(pid)])


def naming(text: str) -> list[str]:
    """Command lines on this machine that have `text` in them, but for our own."""
    own = os.getpid()
    pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if int(folder.name) != own]
    return [line for pid in pids if text in (line := " ".join(_words(pid)))]


def _words(pid: int) -> tuple[str, ...]:
    try:
        content = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(word.decode(errors="replace") for word in content.split(b"\0") if word)
