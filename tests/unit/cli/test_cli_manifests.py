"""Manifests read from files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deepcoder_cli.manifests import read_manifests
from tests.resource_documents import evaluation, training_run


def test_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    """*.yaml and *.yml, and nothing below."""
    (tmp_path / "20-b.yaml").write_text(yaml.safe_dump(training_run("second")))
    (tmp_path / "10-a.yml").write_text(yaml.safe_dump(evaluation("first")))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.yaml").write_text(yaml.safe_dump(evaluation("third")))
    manifests = read_manifests([tmp_path])
    assert [resource.metadata.name for resource in manifests.resources] == ["first", "second"]
    assert (manifests.faults, manifests.skipped) == ((), 0)


def test_documents_of_others_are_counted(tmp_path: Path) -> None:
    """A Secret in the same file is no fault."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([secret, training_run()]))
    manifests = read_manifests([tmp_path / "all.yaml"])
    assert (len(manifests.resources), manifests.skipped) == (1, 1)


def test_fault_names_a_resource_without_a_name(tmp_path: Path) -> None:
    """What can be said of the document is said."""
    (tmp_path / "x.yaml").write_text("apiVersion: deepcoder.dev/v1alpha1\nkind: Evaluation\n")
    faults = read_manifests([tmp_path / "x.yaml"]).faults
    assert {fault.resource for fault in faults} == {"Evaluation/?"}
    assert {fault.file for fault in faults} == {tmp_path / "x.yaml"}


def test_missing_path(tmp_path: Path) -> None:
    """A path that is not there is an error, not an empty folder."""
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        read_manifests([tmp_path / "nowhere"])
