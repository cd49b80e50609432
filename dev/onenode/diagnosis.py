"""Why a cluster does not come up, from what it says of itself: node, pods, events, and the ends of the logs."""

from __future__ import annotations

import subprocess

from onenode.layout import Layout

CONDITIONS = '{range .items[*].status.conditions[*]}{.type}={.status} {.message}{"\\n"}{end}'
QUESTIONS = {
    "events": ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
    "pods": ("get", "pods", "--all-namespaces", "-o", "wide"),
    "nodes": ("get", "nodes", "-o", f"jsonpath={CONDITIONS}"),
}
QUESTION_SECONDS = 20
LINES = {".log": 6, "": 15}
"""How many of the last lines of a log, and of an answer, are shown."""
LINE_CHARACTERS = 600


def diagnosis(cluster: Layout) -> str:
    """Each log's end, then what events, pods and node say, as text for a person; what cannot be had says why."""
    logs = sorted((cluster.state / "log").glob("*.log"))
    parts = {log.name: _tail(log.read_text(errors="replace"), LINES[".log"]) for log in logs}
    parts |= {name: _tail(_answer(cluster, question), LINES[""]) for name, question in QUESTIONS.items()}
    return "\n".join(f"--- {name}\n{text}" for name, text in parts.items())


def _answer(cluster: Layout, question: tuple[str, ...]) -> str:
    command = [str(cluster.binaries / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), *question]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUESTION_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def _tail(text: str, lines: int) -> str:
    return "\n".join(line[:LINE_CHARACTERS] for line in text.splitlines()[-lines:])
