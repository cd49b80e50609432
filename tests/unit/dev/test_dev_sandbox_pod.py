"""What counts as left behind in a grading pod, and which of the operator's objects make it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "dev"))  # its modules import each other from there

import sandbox_pod

BEFORE = {
    "processes": {"1": "python3, child of 0", "2": "python3, child of 1"},
    "descriptors": {"1": 13, "2": 4},
    "files": ["/run/lock"],
    "termination_log": "",
}
CHANGES = {
    "a process": (
        {"processes": {**BEFORE["processes"], "9": "sleep, child of 1"}},
        "process 9 (sleep, child of 1) is new",
    ),
    "a zygote restarted": (
        {"processes": {"1": "python3, child of 0", "7": "python3, child of 1"}},
        "process 7 (python3, child of 1) is new; process 2 (python3, child of 1) is gone",
    ),
    "a descriptor": ({"descriptors": {"1": 14, "2": 4}}, "process 1 has 14 descriptors, before 13"),
    "a file": ({"files": ["/run/lock", "/tmp/x"]}, "files: ['/run/lock'] became ['/run/lock', '/tmp/x']"),
    "a word to the kubelet": ({"termination_log": "x"}, "termination_log:  became x"),
    "fewer descriptors": ({"descriptors": {"1": 12, "2": 4}}, ""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_left_is_named(name):
    """Whatever is there and was not before is told; a descriptor that went is no harm."""
    change, said = CHANGES[name]
    assert sandbox_pod.difference(BEFORE, {**BEFORE, **change}) == said


def test_pod_is_made_of_the_operators_own_objects(monkeypatch):
    """A sandbox's account, policy, Service, budget and Deployment as a run has them, under gVisor, owned by nobody."""
    monkeypatch.setattr(sandbox_pod, "images", lambda: {"sandbox": "registry/sandbox:1"})
    made = {one["kind"]: one for one in sandbox_pod.documents("there")}
    assert made.keys() == {"ServiceAccount", "NetworkPolicy", "Service", "PodDisruptionBudget", "Deployment"}
    assert all("ownerReferences" not in one["metadata"] for one in made.values())
    assert made["Deployment"]["spec"]["template"]["spec"]["runtimeClassName"] == "gvisor"
    assert made["NetworkPolicy"]["spec"]["egress"] == []
