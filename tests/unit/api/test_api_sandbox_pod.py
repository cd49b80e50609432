"""What may be said of sandbox pods."""

from __future__ import annotations

import pytest

from deepcoder_api.manifest import ManifestError
from tests.operator_builders import evaluation, training_run


@pytest.mark.parametrize(
    "name", ["dev.gvisor.flag.network", "io.kubernetes.cri.untrusted-workload", "k8s.v1.cni.cncf.io/networks"]
)
@pytest.mark.parametrize("build", [training_run, evaluation])
def test_an_annotation_that_could_loosen_the_isolation_is_refused(build: object, name: str) -> None:
    """By its field and name, in a run as in an evaluation."""
    with pytest.raises(ManifestError, match=rf"spec\.sandbox\.pod\.annotations: '{name}' speaks to"):
        build(sandbox={"pod": {"annotations": {name: "host"}}})  # type: ignore[operator]


def test_other_annotations_are_the_users() -> None:
    """Also on the sandbox; and trainers may have any."""
    run = training_run(
        sandbox={"pod": {"annotations": {"team": "rl"}}},
        trainer={"pod": {"annotations": {"k8s.v1.cni.cncf.io/networks": "rdma"}}},
    )
    assert run.spec.sandbox.pod.annotations == {"team": "rl"}
