"""helm, asked as a user asks it, and what a chart renders to."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.control_plane import BINARIES, ROOT, ControlPlane, ControlPlaneError

CHART = ROOT / "charts" / "deepcoder-operator"
ROLES = ("operator", "worker", "trainer", "rollout", "sandbox")
IMAGES = tuple(word for role in ROLES for word in ("--set-string", f"images.{role}=registry.example/{role}:1"))
RELEASE = "deepcoder-operator"
NAMESPACE = "deepcoder-system"

Document = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """helm with folders of its own, against a control plane."""

    plane: ControlPlane

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """helm's end, well or not."""
        if not (BINARIES / "helm").exists():
            raise ControlPlaneError("helm: not in build/bin; run `make integration`, which builds it")
        return subprocess.run(
            [str(BINARIES / "helm"), *arguments],
            env={**os.environ, "HOME": str(self.plane.folder), "KUBECONFIG": str(self.plane.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        """What helm prints; it must end well."""
        done = self.try_run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def template(self, *values: str) -> list[Document]:
        """The chart's documents with all images set."""
        text = self.run("template", RELEASE, str(CHART), "-n", NAMESPACE, *IMAGES, *values)
        return [document for document in yaml.safe_load_all(text) if document]

    def install(self, release: str, namespace: str, *values: str, chart: Path = CHART) -> str:
        """Install or upgrade a release, and what helm prints."""
        command = ("upgrade", "--install", release, str(chart), "-n", namespace, "--create-namespace")
        return self.run(*command, *IMAGES, *values)


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """The documents of some kinds."""
    return [document for document in documents if document["kind"] in kinds]
