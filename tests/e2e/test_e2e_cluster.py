"""The one-node cluster keeps to itself: what it writes lies in the clone's folder, which goes when it is taken down."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import Cluster
from onenode import host, layout
from onenode.inside import OWN_FOLDERS, own_folder

pytestmark = pytest.mark.cluster


def test_pods_addresses_and_logs_lie_in_the_clones_folder_and_not_in_the_machines(cluster: Cluster) -> None:
    clones = layout.existing(layout.ROOT)
    assert clones is not None
    assert host.is_running(clones)
    dns = cluster.items("pods", "k8s-app=kube-dns", "kube-system")[0]
    address, uid = dns["status"]["podIP"], dns["metadata"]["uid"]
    assert (own_folder(clones, "/var/lib/cni") / "networks" / "pods" / address).exists()
    assert any(uid in path.name for path in own_folder(clones, "/var/log/pods").iterdir())
    machines = [path for folder in OWN_FOLDERS for path in Path(folder).rglob("*")]
    assert not [path for path in machines if uid in str(path) or (path.is_file() and uid in path.read_text())]
