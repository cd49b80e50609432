"""The OCI bundle of a local sandbox is as a sandbox pod is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.lifecycle import TERMINATION_LOG
from deepcoder_sandbox.gvisor_bundle import SOCKET_FOLDER, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that was written."""
    write_bundle(tmp_path / "bundle", tmp_path / "sockets", ["--uds", "/server/x"])
    return tmp_path / "bundle"


@pytest.fixture
def config(bundle: Path) -> dict[str, Any]:
    """Its config.json."""
    return json.loads((bundle / "config.json").read_text())


def mounts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mounts by their destination."""
    return {mount["destination"]: mount for mount in config["mounts"]}


def test_server_is_an_ordinary_user_without_any_privilege(config):
    """No capabilities in any set, no way to new ones, a root that cannot be written."""
    process = config["process"]
    assert process["user"] == {"uid": 10001, "gid": 10001}
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "inheritable", "permitted", "ambient"}
    assert not any(process["capabilities"].values())
    assert config["root"]["readonly"] is True


def test_server_is_started_as_in_a_pod(config):
    """By the module's name, with the arguments given, and with a pod's variables."""
    process = config["process"]
    assert process["args"] == [sys.executable, "-B", "-m", "deepcoder_sandbox.server", "--uds", "/server/x"]
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1" in process["env"]


def test_own_network(config):
    """Every namespace is its own."""
    assert {one["type"] for one in config["linux"]["namespaces"]} == {"pid", "network", "ipc", "uts", "mount"}


def test_only_the_pods_own_places_can_be_written(config, tmp_path):
    """All of the machine is bound read-only; one shared folder for the socket, and the termination log."""
    bound = {where: mount for where, mount in mounts(config).items() if mount["type"] == "bind"}
    writable = {where for where, mount in bound.items() if "ro" not in mount["options"]}
    assert writable == {SOCKET_FOLDER, TERMINATION_LOG}
    assert bound[SOCKET_FOLDER]["source"] == str(tmp_path / "sockets")
    for folder in ("/tmp", "/scratch", "/dev/shm"):
        assert mounts(config)[folder]["type"] == "tmpfs"


def test_nothing_of_the_machine_but_the_interpreter_and_our_code(config):
    """No home folder, no /etc, no /var: what a program could read there is not in the sandbox."""
    bound = [where for where, mount in mounts(config).items() if mount["type"] == "bind" and "ro" in mount["options"]]
    allowed = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", sys.prefix, sys.base_prefix)
    packages = [str(Path(entry).resolve()) for entry in sys.path if (Path(entry) / "deepcoder_sandbox").is_dir()]
    packages += [str(Path(entry).resolve()) for entry in sys.path if (Path(entry) / "deepcoder_api").is_dir()]
    assert set(bound) <= {*allowed, *packages}
    assert "/" not in bound


def test_root_has_a_mount_point_for_each_mount(bundle, config):
    """A read-only root cannot be given one later; /dev is a mount of its own and can."""
    for where in mounts(config):
        if not where.startswith("/dev/"):
            point = bundle / "rootfs" / where.strip("/")
            assert point.exists() or point.is_symlink(), where
